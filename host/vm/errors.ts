/** What can go wrong around a virtual machine, apart from what a command in it reports. */
export type VmErrorCode =
  /** An option makes no sense; the message names it. */
  | 'BAD_OPTION'
  /** A program this needs is not installed; the message names its package. */
  | 'TOOL_MISSING'
  /** A program ran and failed; the message ends with what it said last. */
  | 'TOOL_FAILED'
  /** The guest's agent did not answer before the boot deadline. */
  | 'BOOT_TIMEOUT'
  /** QEMU or the guest ended, or the connection to them broke. */
  | 'VM_GONE'
  /** QEMU refused a QMP command. */
  | 'QMP_REFUSED'
  /** The guest could not start a command. */
  | 'EXEC_FAILED'
  /** A deadline passed. */
  | 'TIMEOUT';

export class VmError extends Error {
  override readonly name = 'VmError';

  constructor(
    readonly code: VmErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
