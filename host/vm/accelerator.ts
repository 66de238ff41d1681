import { accessSync, constants } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { z } from 'zod';
import { cacheDirectory } from './cache.js';
import type { Image } from './image.js';
import { runTool } from './tools.js';

/**
 * How long a guest may take to boot under KVM before KVM counts as not working (it takes 2 s where it works).
 */
export const KVM_BOOT_TIMEOUT_MS = 20_000;

const Finding = z.object({ accelerator: z.enum(['kvm', 'tcg']), reason: z.string() });
export type AcceleratorFinding = z.infer<typeof Finding>;

/** Returns what is known before booting; undefined means that only a boot under KVM can tell. */
export async function knownAccelerator(image: Image): Promise<AcceleratorFinding | undefined> {
  try {
    accessSync('/dev/kvm', constants.R_OK | constants.W_OK);
  } catch (error) {
    const isAbsent = (error as NodeJS.ErrnoException).code === 'ENOENT';
    const reason = isAbsent ? '/dev/kvm is not there' : '/dev/kvm may not be used by this user (group kvm)';
    return { accelerator: 'tcg', reason };
  }
  try {
    return Finding.parse(JSON.parse(await readFile(await findingFile(image), 'utf8')));
  } catch {
    return undefined;
  }
}

/** Remembers how the boot under KVM went, for this kernel, this QEMU and this guest kernel. */
export async function rememberAccelerator(image: Image, finding: AcceleratorFinding): Promise<void> {
  await mkdir(cacheDirectory(), { recursive: true });
  await writeFile(await findingFile(image), `${JSON.stringify(finding)}\n`);
}

async function findingFile(image: Image): Promise<string> {
  const version = await qemuVersion();
  const name = `accelerator ${os.release()} qemu ${version} guest ${image.kernelVersion}.json`;
  return path.join(cacheDirectory(), name.replace(/[^A-Za-z0-9.-]+/g, '-'));
}

export async function qemuVersion(): Promise<string> {
  const text = await runTool('qemu-system-x86_64', ['--version']);
  return /version (\S+)/.exec(text)?.[1] ?? 'unknown';
}
