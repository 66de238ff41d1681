import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { cacheDirectory } from './cache.js';
import { VmError } from './errors.js';
import { attachVm, isQemuOf, type Vm, type VmState } from './machine.js';

/** The state of a machine that outlives the command that started it. The user knows it by a name. */
const State: z.ZodType<VmState> = z.object({
  pid: z.number().int().positive(),
  directory: z.string().min(1),
  accelerator: z.enum(['kvm', 'tcg']),
  acceleratorReason: z.string(),
  bootMs: z.number(),
  devices: z.record(z.string(), z.string()),
  channels: z.array(z.object({ name: z.string(), socketPath: z.string() })),
});

const PREFIX = 'machine-';
const stateFile = (name: string) => path.join(cacheDirectory(), `${PREFIX}${name}.json`);

/**
 * Checks that no machine of this name runs.
 * @throws VmError BAD_OPTION
 */
export async function requireNone(name: string): Promise<void> {
  if (await running(name)) {
    throw new VmError('BAD_OPTION', `guest ${name} is up already: 'vamos vm down --name ${name}' ends it`);
  }
}

export async function remember(name: string, state: VmState): Promise<void> {
  await mkdir(cacheDirectory(), { recursive: true });
  await writeFile(stateFile(name), `${JSON.stringify(state, undefined, 2)}\n`, { mode: 0o600 });
}

export async function forget(name: string): Promise<void> {
  await rm(stateFile(name), { force: true });
}

/**
 * Connects to the running machine of this name.
 * @throws VmError VM_GONE if there is none
 */
export async function attach(name: string): Promise<Vm> {
  const state = await running(name);
  if (!state)
    throw new VmError('VM_GONE', `no guest ${name} is running: 'vamos vm up --name ${name}' starts one`);
  return attachVm(state);
}

export async function list(): Promise<{ name: string; state: VmState }[]> {
  const files = await readdir(cacheDirectory()).catch(() => []);
  const found: { name: string; state: VmState }[] = [];
  for (const file of files.sort()) {
    if (!file.startsWith(PREFIX) || !file.endsWith('.json')) continue;
    const name = file.slice(PREFIX.length, -'.json'.length);
    const state = await running(name);
    if (state) found.push({ name, state });
  }
  return found;
}

/** Returns the state of the machine if it still runs; else forgets it. */
async function running(name: string): Promise<VmState | undefined> {
  const text = await readFile(stateFile(name), 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  let state: VmState | undefined;
  try {
    state = State.parse(JSON.parse(text));
  } catch {
    // The state was written by another version, or only half.
  }
  if (state && (await isQemuOf(state))) return state;
  if (state) await rm(state.directory, { recursive: true, force: true });
  await forget(name);
  return undefined;
}
