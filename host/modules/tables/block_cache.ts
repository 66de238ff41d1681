import os from 'node:os';

const MIB = 1024 * 1024;
const LEAST_BYTES = 64 * MIB;
/** The memory that a worker may use if its configuration doesn't say. */
const MEMORY_BYTES = 2048 * MIB;

/**
 * Returns the bytes of the block cache where no setting says: a sixteenth of the machine's memory, as other
 * guests have workers, too, at least 64 MiB, and no more than a quarter of what this worker may use.
 * @param memoryBytes what this worker may use
 */
export function defaultBlockCacheBytes(memoryBytes = MEMORY_BYTES): number {
  return Math.min(Math.floor(memoryBytes / 4), Math.max(LEAST_BYTES, Math.floor(machineBytes() / 16)));
}

/** Returns the memory of the machine, or of the control group that this process is confined to. */
function machineBytes(): number {
  // Zero, or a number beyond the machine's memory, stands for no limit.
  const constrainedBytes = process.constrainedMemory();
  return constrainedBytes > 0 ? Math.min(constrainedBytes, os.totalmem()) : os.totalmem();
}
