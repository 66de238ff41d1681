import { ERROR_PROPERTIES, ErrorCode, type ErrorName, type ErrorProperties } from './generated/errors.js';
import type { vamos } from './generated/messages.js';

export { ErrorCode, type ErrorName, type ErrorProperties };

/** What every failing call of VAMOS throws: a stable `code`, what happened and what to do. */
export class VamosError extends Error {
  override readonly name = 'VamosError';
  /** Stable name, for instance `DUPLICATE_KEY`. */
  readonly code: ErrorName;
  /** Bytes whose meaning the code gives (vamos.proto); empty for most. */
  readonly detail: Uint8Array;

  constructor(code: ErrorName, message: string, options: { detail?: Uint8Array; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.detail = options.detail ?? new Uint8Array();
  }

  /** Whether the same call (or its whole transaction) may be made again. */
  get isRetryable(): boolean {
    return this.properties.isRetryable;
  }

  /** What holds of every failure with this code. */
  get properties(): ErrorProperties {
    return ERROR_PROPERTIES[this.code];
  }

  /** The failure as it travels. */
  toFailure(): vamos.IFailure {
    return { code: ErrorCode[this.code], message: this.message, detail: this.detail };
  }

  static fromFailure(failure: vamos.IFailure): VamosError {
    const name = ErrorCode[failure.code ?? 0] as ErrorName | undefined;
    return new VamosError(
      name ?? 'INTERNAL',
      failure.message ?? '',
      failure.detail ? { detail: failure.detail } : {},
    );
  }

  /** Any thrown thing as a VamosError; what is not one already is `INTERNAL`. */
  static from(error: unknown): VamosError {
    if (error instanceof VamosError) return error;
    const message = error instanceof Error ? error.message : String(error);
    return new VamosError('INTERNAL', message, { cause: error });
  }
}
