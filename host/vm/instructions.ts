import { readFileSync } from 'node:fs';
import path from 'node:path';
import { packageRoot } from '../../src/native.js';
import { VmError } from './errors.js';

/** What QEMU loads to count (native/qemu_plugin). */
export const INSTRUCTIONS_PLUGIN = path.join(packageRoot, 'build/native/vamos_instructions.so');

/** A cache line for each vCPU; its first two numbers are the counters. */
const VCPU_BYTES = 64;

/** Instructions that the guest executed, all its vCPUs together. */
export interface Instructions {
  kernel: number;
  user: number;
}

/** Counts the guest's instructions between `start` and `stop`, under TCG in a machine with `countInstructions`. */
export class InstructionCounters {
  #started: Instructions | undefined;

  /** @param file what the plugin counts in */
  constructor(private readonly file: string) {}

  /** @throws VmError BAD_OPTION if a phase is being counted already */
  start(): Promise<void> {
    if (this.#started) {
      return Promise.reject(new VmError('BAD_OPTION', 'instructions are being counted already'));
    }
    this.#started = this.#read();
    return Promise.resolve();
  }

  /** @throws VmError BAD_OPTION if no phase was started */
  stop(): Promise<Instructions> {
    const started = this.#started;
    if (!started) return Promise.reject(new VmError('BAD_OPTION', 'instructions are not being counted'));
    this.#started = undefined;
    const { kernel, user } = this.#read();
    return Promise.resolve({ kernel: kernel - started.kernel, user: user - started.user });
  }

  #read(): Instructions {
    const bytes = readFileSync(this.file);
    const total = { kernel: 0, user: 0 };
    for (let offset = 0; offset + VCPU_BYTES <= bytes.length; offset += VCPU_BYTES) {
      // Exact up to 2^53: some months of a guest's work.
      total.kernel += Number(bytes.readBigUInt64LE(offset));
      total.user += Number(bytes.readBigUInt64LE(offset + 8));
    }
    return total;
  }
}
