import { ErrorCode, VamosError, type ErrorName } from '../../../src/protocol/errors.js';
import type { Call } from '../../../src/rpc/contract.js';
import type { Outcome, StoreEvent } from './binding.js';

/** Returns the successful outcome; throws the VamosError that its code means otherwise. */
export function checked(outcome: Outcome): Outcome {
  if (outcome.code === 0) return outcome;
  throw errorOf(outcome);
}

function errorOf({ code, message, detail }: Outcome): VamosError {
  const name = (ErrorCode[code] as ErrorName | undefined) ?? 'INTERNAL';
  return new VamosError(name, message ?? name, detail ? { detail } : {});
}

interface Running {
  resolve(outcome: Outcome): void;
  onParked(): void;
  release(): void;
}

/**
 * The store's operations under way. Waits for them, and cancels those whose caller, deadline or lock timeout
 * says so.
 */
export class Operations {
  readonly #running = new Map<number, Running>();
  readonly #cancel: (operation: number, code: number) => void;
  readonly #onFailure: (error: VamosError) => void;

  /** @param onFailure called when the whole store fails; operations fail after it */
  constructor(cancel: (operation: number, code: number) => void, onFailure: (error: VamosError) => void) {
    this.#cancel = cancel;
    this.#onFailure = onFailure;
  }

  /** Takes the store's events. */
  onEvents(events: readonly StoreEvent[]): void {
    for (const event of events) {
      if (event.operation === 0 && !event.parked) this.#onFailure(errorOf(event.outcome));
      const running = this.#running.get(event.operation);
      if (!running) continue;
      if (event.parked) {
        running.onParked();
        continue;
      }
      this.#running.delete(event.operation);
      running.release();
      running.resolve(event.outcome);
    }
  }

  /**
   * Returns the successful outcome of a store call, immediately where there is one.
   * @param call is reported parked while the operation waits for a lock, and its signal cancels the operation
   * @param lockTimeoutMs for each lock that it meets
   * @throws VamosError, also through the promise
   */
  finish(started: Outcome | number, call: Call, lockTimeoutMs: number): Outcome | Promise<Outcome> {
    return typeof started === 'number'
      ? this.#wait(started, call, lockTimeoutMs).then(checked)
      : checked(started);
  }

  #wait(operation: number, call: Call, lockTimeoutMs: number): Promise<Outcome> {
    return new Promise((resolve) => {
      let timer: NodeJS.Timeout | undefined;
      const slow = parkIfSlow([call]);
      this.#running.set(operation, {
        resolve,
        onParked: () => {
          call.setParked(true);
          clearTimeout(timer);
          timer = setTimeout(() => {
            this.#cancel(operation, ErrorCode.LOCK_TIMEOUT);
          }, lockTimeoutMs);
        },
        release: () => {
          clearTimeout(timer);
          call.onAbort(undefined);
          slow.done();
        },
      });
      call.onAbort(({ code }) => {
        this.#cancel(operation, ErrorCode[code]);
      });
    });
  }

  /** Waits for an operation that nothing cancels, such as a commit. */
  settle(started: Outcome | number): Promise<Outcome> {
    if (typeof started !== 'number') return Promise.resolve(started);
    return new Promise((resolve) => {
      this.onEnd(started, resolve);
    });
  }

  /** Does the same with a callback. */
  onEnd(operation: number, resolve: (outcome: Outcome) => void): void {
    this.#running.set(operation, { resolve, onParked: nothing, release: nothing });
  }
}

function nothing(): void {
  // Nothing runs in between.
}

/** After this time a call counts as slow: its frame need not be waited for. */
const SLOW_MS = 20;

/** Reports the calls parked if what they wait for is not `done` soon. */
export function parkIfSlow(calls: readonly Call[]): { done(): void } {
  const timer = setTimeout(() => {
    for (const call of calls) call.setParked(true);
  }, SLOW_MS);
  return {
    done: () => {
      clearTimeout(timer);
      for (const call of calls) call.setParked(false);
    },
  };
}

/** Makes a VamosError of what a store call threw. */
export function fromNative(error: unknown): VamosError {
  const { code, message } = error as { code?: unknown; message?: unknown };
  const name = typeof code === 'number' ? (ErrorCode[code] as ErrorName | undefined) : undefined;
  return name ? new VamosError(name, String(message), { cause: error }) : VamosError.from(error);
}

/**
 * Runs a store call that may throw.
 * @throws VamosError
 */
export function native<Result>(call: () => Result): Result {
  try {
    return call();
  } catch (error) {
    throw fromNative(error);
  }
}
