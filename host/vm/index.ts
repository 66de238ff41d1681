/** QEMU guests: their image, boot, commands in them, and the transitions that their storage causes. */
export { cacheDirectory } from './cache.js';
export { VmError, type VmErrorCode } from './errors.js';
export { HostCpuMeter, type HostCpuTimes } from './host_cpu.js';
export { buildImage, type Image, type ImageOptions } from './image.js';
export type { InstructionCounters, Instructions } from './instructions.js';
export {
  MARIADB_CHANNEL,
  MARIADB_LOG,
  MARIADB_PORT,
  enginePackage,
  mariadbPackages,
  startMariadb,
  type MariadbOptions,
} from './mariadb.js';
export { buildPayload, type Payload, type PayloadOptions } from './payload.js';
export { qemuVersion } from './accelerator.js';
export type { ExitStatus, SpawnOptions, VmProcess } from './agent/client.js';
export {
  attachVm,
  isQemuOf,
  startVm,
  type ExecOptions,
  type ExecResult,
  type Vm,
  type VmOptions,
  type VmState,
} from './machine.js';
export type { Accelerator, VmChannel } from './qemu.js';
export type { DiskTraffic, PhaseCounts, StorageDevice, Transitions } from './transitions.js';
