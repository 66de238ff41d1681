import { spawn } from 'node:child_process';
import { closeSync, existsSync, openSync } from 'node:fs';
import { access, mkdtemp, readFile, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { KVM_BOOT_TIMEOUT_MS, knownAccelerator, qemuVersion, rememberAccelerator } from './accelerator.js';
import { AgentClient, type ExitStatus, type SpawnOptions, type VmProcess } from './agent/client.js';
import { makeDisk } from './disk.js';
import { VmError } from './errors.js';
import { InstructionCounters } from './instructions.js';
import type { Image } from './image.js';
import type { Payload } from './payload.js';
import {
  checkShape,
  qemuArguments,
  runFiles,
  virtioDevices,
  type Accelerator,
  type MachineShape,
  type VmChannel,
} from './qemu.js';
import { QmpClient } from './qmp.js';
import { toolEnvironment } from './tools.js';
import { TransitionCounters, readDeviceAddresses } from './transitions.js';

const BOOT_TIMEOUT_MS = 120_000;
const STOP_TIMEOUT_MS = 20_000;
const MAX_OUTPUT_BYTES = 64 << 20;

export interface VmOptions {
  image: Image;
  payload: Payload;
  /** Virtual processors. Default 2. */
  cpus?: number;
  /** Memory. Default 1024. */
  memoryMiB?: number;
  /**
   * A raw disk with ext4, mounted at /data. It is made where it is missing, or anew if `fresh`. Default:
   * none.
   */
  dataDisk?: { path: string; sizeMiB: number; fresh?: boolean };
  channels?: VmChannel[];
  /** TCP ports of 127.0.0.1 that lead into the guest. Without any the guest has no network. */
  forwardPorts?: { host: number; guest: number }[];
  /**
   * Counts the guest's instructions (`Vm.instructions`), which makes its processors take 1.1 to 1.35 times as
   * long. Under TCG only. `by-address` counts for a profile, too, which takes about as long again. Default
   * false.
   */
  countInstructions?: boolean | 'by-address';
  /** Default `auto`: KVM where a guest boots under it in time (tried once a machine), else TCG. */
  accelerator?: 'auto' | Accelerator;
  /** How long the guest may take to boot. Default 120 s. */
  bootTimeoutMs?: number;
  /** The machine outlives this process, until another one attaches to it and stops it. */
  detached?: boolean;
  /** Called with what is being done, and with which accelerator runs and why. */
  onProgress?: (message: string) => void;
}

export interface ExecOptions extends SpawnOptions {
  /** Standard input. Default: none. */
  stdin?: string | Uint8Array;
  /** Called with output as it comes; it is not collected then. */
  onStdout?: (chunk: Buffer) => void;
  onStderr?: (chunk: Buffer) => void;
  /** Kills the command when aborted; the call then rejects with the signal's reason. */
  signal?: AbortSignal;
  /** Kills the command after this time; the call then rejects with VmError TIMEOUT. */
  timeoutMs?: number;
}

export interface ExecResult extends ExitStatus {
  stdout: string;
  stderr: string;
}

/** What another process needs to attach to a running machine (`attachVm`). */
export interface VmState {
  pid: number;
  directory: string;
  accelerator: Accelerator;
  acceleratorReason: string;
  bootMs: number;
  devices: Record<string, string>;
  channels: VmChannel[];
}

/**
 * Boots a guest and waits until its agent answers.
 * @throws VmError BAD_OPTION, TOOL_MISSING, BOOT_TIMEOUT, VM_GONE
 */
export async function startVm(options: VmOptions): Promise<Vm> {
  const { dataDisk } = options;
  if (dataDisk && (dataDisk.fresh || !(await isThere(dataDisk.path)))) {
    if (!Number.isInteger(dataDisk.sizeMiB) || dataDisk.sizeMiB < 16) {
      throw new VmError('BAD_OPTION', 'dataDisk.sizeMiB: at least 16');
    }
    await makeDisk(dataDisk.path, { sizeMiB: dataDisk.sizeMiB, journal: true });
  }
  const shape: MachineShape = {
    image: options.image,
    payload: options.payload,
    cpus: options.cpus ?? 2,
    memoryMiB: options.memoryMiB ?? 1024,
    channels: options.channels ?? [],
    dataDisk,
    forwardPorts: options.forwardPorts ?? [],
    countInstructions: options.countInstructions ?? false,
  };
  await checkShape(shape);
  await qemuVersion();
  const bootTimeoutMs = options.bootTimeoutMs ?? BOOT_TIMEOUT_MS;
  const wanted = options.accelerator ?? 'auto';
  if (wanted !== 'auto') return boot(shape, wanted, 'asked for', bootTimeoutMs, options);
  const known = await knownAccelerator(options.image);
  if (known) return boot(shape, known.accelerator, known.reason, bootTimeoutMs, options);

  try {
    const vm = await boot(shape, 'kvm', 'a guest boots under it here', KVM_BOOT_TIMEOUT_MS, options);
    await rememberAccelerator(options.image, { accelerator: 'kvm', reason: vm.state.acceleratorReason });
    return vm;
  } catch (error) {
    if (!(error instanceof VmError) || error.code === 'TOOL_MISSING') throw error;
    const why =
      error.code === 'BOOT_TIMEOUT'
        ? `within ${KVM_BOOT_TIMEOUT_MS / 1000} s`
        : `(${error.message.replaceAll(/\s+/g, ' ')})`;
    const reason = `/dev/kvm is there, but a guest did not boot under it ${why}`;
    const vm = await boot(shape, 'tcg', reason, bootTimeoutMs, options);
    // Only now is it certain that KVM is at fault.
    await rememberAccelerator(options.image, { accelerator: 'tcg', reason });
    return vm;
  }
}

async function boot(
  shape: MachineShape,
  accelerator: Accelerator,
  reason: string,
  timeoutMs: number,
  options: VmOptions,
): Promise<Vm> {
  const report = options.onProgress ?? (() => undefined);
  const isDetached = options.detached ?? false;
  report(`booting under ${accelerator.toUpperCase()}: ${reason}`);
  const startMs = performance.now();
  const directory = await mkdtemp(path.join(os.tmpdir(), 'vamos-vm-'));
  const files = runFiles(directory);
  const errors = openSync(files.errors, 'w');
  const args = qemuArguments(shape, directory, accelerator);
  const qemu = ['qemu-system-x86_64', ...args];
  // A machine that is not detached ends with this process, however the process ends.
  const [program, ...rest] = isDetached ? qemu : ['setpriv', '--pdeathsig', 'SIGKILL', ...qemu];
  const child = spawn(program as string, rest, {
    env: toolEnvironment,
    stdio: ['ignore', errors, errors],
    detached: isDetached,
  });
  if (isDetached) child.unref();
  closeSync(errors);
  const ended = new Promise<void>((resolve) => {
    child.once('exit', () => resolve());
    child.once('error', () => resolve());
  });
  let qmp: QmpClient | undefined;
  try {
    qmp = await reach(() => QmpClient.connect(files.qmp), ended, timeoutMs);
    const remainingMs = timeoutMs - (performance.now() - startMs);
    const agent = await AgentClient.connect(files.agent, Math.max(remainingMs, 1));
    const state: VmState = {
      pid: child.pid as number,
      directory,
      accelerator,
      acceleratorReason: reason,
      bootMs: Math.round(performance.now() - startMs),
      devices: await readDeviceAddresses(qmp, files.trace, virtioDevices(shape)),
      channels: [...shape.channels],
    };
    report(`the guest is up after ${(state.bootMs / 1000).toFixed(1)} s`);
    return new Vm(state, qmp, agent, ended);
  } catch (error) {
    qmp?.close();
    child.kill('SIGKILL');
    await ended;
    const said = [...(await tail(files.errors)), ...(await tail(files.console))].join('\n');
    await rm(directory, { recursive: true, force: true });
    const vmError =
      error instanceof VmError ? error : new VmError('VM_GONE', String(error), { cause: error });
    throw new VmError(vmError.code, said ? `${vmError.message}; it said last:\n${said}` : vmError.message, {
      cause: error,
    });
  }
}

/** Attaches to a machine that another process started and left. */
export async function attachVm(state: VmState): Promise<Vm> {
  if (!(await isQemuOf(state))) {
    await rm(state.directory, { recursive: true, force: true });
    throw new VmError('VM_GONE', 'the machine has ended');
  }
  const files = runFiles(state.directory);
  const qmp = await QmpClient.connect(files.qmp);
  const agent = await AgentClient.connect(files.agent, 10_000).catch((error: unknown) => {
    qmp.close();
    throw error;
  });
  const ended = new Promise<void>((resolve) => qmp.once('close', () => resolve()));
  return new Vm(state, qmp, agent, ended);
}

/** Says whether the process still is the machine, and not another that got its number. */
export async function isQemuOf(state: VmState): Promise<boolean> {
  const text = await readFile(`/proc/${state.pid}/cmdline`, 'utf8').catch(() => '');
  return text.includes(state.directory);
}

/** A running guest. */
export class Vm implements AsyncDisposable {
  /** Counts what the guest's storage devices cause between two moments. */
  readonly counters: TransitionCounters;
  /** Counts the instructions that the guest executes; absent under KVM, and without `countInstructions`. */
  readonly instructions: InstructionCounters | undefined;
  readonly #agent: AgentClient;
  readonly #ended: Promise<void>;
  #isStopped = false;

  /** @internal made by startVm and attachVm */
  constructor(
    readonly state: Readonly<VmState>,
    readonly qmp: QmpClient,
    agent: AgentClient,
    ended: Promise<void>,
  ) {
    this.#agent = agent;
    this.#ended = ended;
    const files = runFiles(state.directory);
    this.counters = new TransitionCounters(qmp, files.trace, state.devices);
    // The plugin makes the file before the guest starts.
    if (existsSync(files.instructions)) {
      const blocks = existsSync(files.instructionBlocks) ? files.instructionBlocks : undefined;
      this.instructions = new InstructionCounters(files.instructions, blocks);
    }
  }

  get accelerator(): Accelerator {
    return this.state.accelerator;
  }

  /** What the guest's kernel and first programs printed. It is gone when the machine is stopped. */
  get consoleLog(): string {
    return runFiles(this.state.directory).console;
  }

  /** Starts a command in the guest. */
  spawn(argv: readonly string[], options: SpawnOptions = {}): VmProcess {
    return this.#agent.spawn(argv, options);
  }

  /**
   * Runs a command in the guest to its end. Any exit status is a result and no error.
   * @throws VmError EXEC_FAILED, TIMEOUT, VM_GONE; the abort signal's reason
   */
  async exec(argv: readonly string[], options: ExecOptions = {}): Promise<ExecResult> {
    options.signal?.throwIfAborted();
    const command = this.spawn(argv, options);
    const collect = (stream: 'stdout' | 'stderr', handler: ((chunk: Buffer) => void) | undefined) => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      command[stream].on('data', (chunk: Buffer) => {
        if (handler) return handler(chunk);
        bytes += chunk.length;
        // The end of the output says most.
        while (bytes > MAX_OUTPUT_BYTES) bytes -= chunks.shift()?.length ?? bytes;
        chunks.push(chunk);
      });
      return chunks;
    };
    const stdout = collect('stdout', options.onStdout);
    const stderr = collect('stderr', options.onStderr);
    command.stdin.end(options.stdin ?? '');

    let reason: Error | undefined;
    const kill = (why: unknown) => {
      reason ??= why instanceof Error ? why : new VmError('TIMEOUT', String(why));
      command.kill('SIGKILL');
    };
    const onAbort = () => kill(options.signal?.reason);
    options.signal?.addEventListener('abort', onAbort, { once: true });
    const { timeoutMs } = options;
    const timer =
      timeoutMs === undefined
        ? undefined
        : setTimeout(
            () => kill(new VmError('TIMEOUT', `${argv[0]}: no end within ${timeoutMs} ms`)),
            timeoutMs,
          );
    try {
      const status = await command.exited;
      if (reason !== undefined) throw reason;
      const text = (chunks: Buffer[]) => Buffer.concat(chunks).toString('utf8');
      return { ...status, stdout: text(stdout), stderr: text(stderr) };
    } finally {
      clearTimeout(timer);
      options.signal?.removeEventListener('abort', onAbort);
    }
  }

  /** Switches the guest off in order, with its data written; by force after 20 s. Idempotent. */
  async stop(): Promise<void> {
    if (this.#isStopped) return this.#ended;
    this.#isStopped = true;
    this.#agent.shutdown();
    const hasEnded = await Promise.race([
      this.#ended.then(() => true),
      sleep(STOP_TIMEOUT_MS, false, { ref: false }),
    ]);
    if (!hasEnded) process.kill(this.state.pid, 'SIGKILL');
    await this.#clean();
  }

  /** Ends QEMU immediately, as a power failure would. Idempotent. */
  async kill(): Promise<void> {
    if (this.#isStopped) return this.#ended;
    this.#isStopped = true;
    if (await isQemuOf(this.state)) process.kill(this.state.pid, 'SIGKILL');
    await this.#clean();
  }

  /** Leaves the machine running; `state` is what `attachVm` takes. Commands that still run in it end. */
  detach(): void {
    this.#isStopped = true;
    this.#agent.close();
    this.qmp.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #clean(): Promise<void> {
    await this.#ended;
    this.#agent.close();
    this.qmp.close();
    for (const { socketPath } of this.state.channels) await rm(socketPath, { force: true });
    await rm(this.state.directory, { recursive: true, force: true });
  }
}

/** Calls `connect` until it succeeds, the machine ends or the time is over. */
async function reach<T>(connect: () => Promise<T>, ended: Promise<void>, timeoutMs: number): Promise<T> {
  const deadlineMs = performance.now() + timeoutMs;
  let hasEnded = false;
  void ended.then(() => (hasEnded = true));
  for (;;) {
    try {
      return await connect();
    } catch (error) {
      if (hasEnded) throw new VmError('VM_GONE', 'QEMU ended immediately', { cause: error });
      if (performance.now() > deadlineMs) throw error;
      await sleep(20);
    }
  }
}

function isThere(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  );
}

/** Returns the last lines of a log; of a crash, the lines that say why rather than the registers. */
async function tail(file: string): Promise<string[]> {
  const text = await readFile(file, 'utf8').catch(() => '');
  const lines = text.split(/\r?\n/).filter((line) => line.trim());
  const telling = lines.filter((line) =>
    /vamos:|panic|switch_root|not found|EXT4-fs error|Out of memory/.test(line),
  );
  return (telling.length > 0 ? telling : lines).slice(-8);
}
