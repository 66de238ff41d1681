import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { VmError } from './errors.js';

/** Debian's package for each program that this folder runs. */
const PACKAGES: Record<string, string> = {
  mmdebstrap: 'mmdebstrap',
  mke2fs: 'e2fsprogs',
  tar: 'tar',
  unshare: 'util-linux',
  ldd: 'libc-bin',
  'qemu-system-x86_64': 'qemu-system-x86',
  'apt-get': 'apt',
  'apt-config': 'apt',
};

/** Administrators' programs are not on every user's path. */
export const toolEnvironment = {
  ...process.env,
  PATH: `${process.env.PATH ?? ''}:/usr/local/sbin:/usr/sbin:/sbin`,
  LC_ALL: 'C.UTF-8',
};

export interface ToolOptions {
  /** Called with each line of standard error as it comes. */
  onLine?: (line: string) => void;
  signal?: AbortSignal;
}

/**
 * Runs a program of the host to its end.
 * @returns its standard output
 * @throws VmError TOOL_MISSING, TOOL_FAILED
 */
export function runTool(
  program: string,
  args: readonly string[],
  options: ToolOptions = {},
): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      env: toolEnvironment,
      signal: options.signal,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    const last: string[] = [];
    child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
    createInterface({ input: child.stderr }).on('line', (line) => {
      last.push(line);
      if (last.length > 12) last.shift();
      options.onLine?.(line);
    });
    child.on('error', (cause: NodeJS.ErrnoException) => {
      if (cause.code === 'ENOENT') {
        const hint = `install the package ${PACKAGES[program] ?? program}`;
        reject(new VmError('TOOL_MISSING', `${program} is not installed: ${hint}`, { cause }));
      } else reject(new VmError('TOOL_FAILED', `${program}: ${cause.message}`, { cause }));
    });
    child.on('close', (code, signal) => {
      if (code === 0) resolve(output);
      else {
        const how = signal ? `was ended by ${signal}` : `failed with status ${code}`;
        reject(new VmError('TOOL_FAILED', `${program} ${how}: ${last.join('\n') || output.slice(-2000)}`));
      }
    });
  });
}
