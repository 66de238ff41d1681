import { readFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { nativeFile } from '../../src/native.js';
import { VmError } from './errors.js';

/** The plugin that QEMU loads to count instructions (native/qemu_plugin). */
export const INSTRUCTIONS_PLUGIN = nativeFile('vamos_instructions.so');

/** Each vCPU has a cache line in the file, whose first two numbers are the counters. */
const VCPU_BYTES = 64;

/** Instructions that the guest executed, summed up over its vCPUs. */
export interface Instructions {
  kernel: number;
  user: number;
}

/**
 * Each block has three numbers in the file: its address, its instructions, and how many times it ran. The
 * first place holds the number of blocks instead.
 */
const BLOCK_BYTES = 24;

interface Snapshot extends Instructions {
  blocks: Buffer;
}

/** Counts the guest's instructions between `start` and `stop`, under TCG in a machine with `countInstructions`. */
export class InstructionCounters {
  #started: Snapshot | undefined;
  #byAddress: ReadonlyMap<bigint, number> = new Map();

  /**
   * @param file the file in which the plugin counts
   * @param blocksFile the file in which it counts each block; absent without a profile
   */
  constructor(
    private readonly file: string,
    private readonly blocksFile?: string,
  ) {}

  /**
   * Instructions of the phase that was stopped last, by the virtual addresses of their blocks; empty without
   * a profile.
   */
  get byAddress(): ReadonlyMap<bigint, number> {
    return this.#byAddress;
  }

  /**
   * Begins a phase.
   * @throws VmError BAD_OPTION if one is being counted already
   */
  async start(): Promise<void> {
    if (this.#started) throw new VmError('BAD_OPTION', 'instructions are being counted already');
    const blocks = await this.#readBlocks();
    this.#started = { ...this.#read(), blocks };
  }

  /**
   * Ends the phase.
   * @throws VmError BAD_OPTION if none was started
   */
  async stop(): Promise<Instructions> {
    const started = this.#started;
    if (!started) throw new VmError('BAD_OPTION', 'instructions are not being counted');
    this.#started = undefined;
    const { kernel, user } = this.#read();
    this.#byAddress = blockInstructions(started.blocks, await this.#readBlocks());
    return { kernel: kernel - started.kernel, user: user - started.user };
  }

  #read(): Instructions {
    const bytes = readFileSync(this.file);
    const total = { kernel: 0, user: 0 };
    for (let offset = 0; offset + VCPU_BYTES <= bytes.length; offset += VCPU_BYTES) {
      // A number is exact up to 2^53: some months of a guest's work.
      total.kernel += Number(bytes.readBigUInt64LE(offset));
      total.user += Number(bytes.readBigUInt64LE(offset + 8));
    }
    return total;
  }

  async #readBlocks(): Promise<Buffer> {
    if (this.blocksFile === undefined) return Buffer.alloc(0);
    await using file = await open(this.blocksFile);
    const { size } = await file.stat();
    const head = Buffer.alloc(BLOCK_BYTES);
    await file.read(head, 0, BLOCK_BYTES, 0);
    const bytes = Math.min(Number(head.readBigUInt64LE()) * BLOCK_BYTES, size - BLOCK_BYTES);
    const blocks = Buffer.alloc(bytes);
    await file.read(blocks, 0, bytes, BLOCK_BYTES);
    return blocks;
  }
}

function blockInstructions(before: Buffer, after: Buffer): Map<bigint, number> {
  const found = new Map<bigint, number>();
  for (let offset = 0; offset < after.length; offset += BLOCK_BYTES) {
    const runsBefore = offset < before.length ? before.readBigUInt64LE(offset + 16) : 0n;
    const runs = Number(after.readBigUInt64LE(offset + 16) - runsBefore);
    if (runs === 0) continue;
    const address = after.readBigUInt64LE(offset);
    const instructions = runs * Number(after.readBigUInt64LE(offset + 8));
    found.set(address, (found.get(address) ?? 0) + instructions);
  }
  return found;
}
