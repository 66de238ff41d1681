import { readWindow, type WindowRow } from '../../src/protocol/batches.js';
import { vamos } from '../../src/protocol/generated/messages.js';
import type { CallOptions } from '../../src/rpc/contract.js';
import type { Link } from './stream.js';

const { Method } = vamos.tables;

const FIRST_WINDOW_BYTES = 16 * 1024;
const LARGEST_WINDOW_BYTES = 1024 * 1024 - 16 * 1024;
const LOCKING_WINDOW_BYTES = 4 * 1024;

/**
 * Rows of a scan, in order: `for await (const row of cursor)`. Windows grow, and the next one is asked for
 * while this one is used; a scan that locks asks for small windows, only when they are needed. Leaving the
 * loop closes the cursor.
 */
export class Cursor<Result> implements AsyncIterableIterator<Result>, AsyncDisposable {
  readonly #link: Link;
  readonly #request: vamos.tables.IOpenCursor;
  readonly #toResult: (row: Buffer) => Result | Promise<Result>;
  readonly #options: CallOptions;
  #epoch = 0;
  #windowBytes: number;
  #rows: Iterator<WindowRow> = [][Symbol.iterator]();
  /** The cursor's number on the host; 0: at its end, closed, or not yet opened. */
  #cursor = 0;
  #state: 'new' | 'open' | 'closed' = 'new';
  #ahead: Promise<vamos.tables.Rows> | undefined;
  #loading: Promise<void> | undefined;

  constructor(
    link: Link,
    request: vamos.tables.IOpenCursor,
    toResult: (row: Buffer) => Result | Promise<Result>,
    options: CallOptions & { windowBytes?: number },
  ) {
    this.#link = link;
    this.#request = request;
    this.#toResult = toResult;
    this.#options = options;
    const first = this.#isLocking
      ? Number(request.limitRows ?? 0) === 1
        ? 1
        : LOCKING_WINDOW_BYTES
      : FIRST_WINDOW_BYTES;
    this.#windowBytes = Math.min(Math.max(options.windowBytes ?? first, 1), LARGEST_WINDOW_BYTES);
  }

  get #isLocking(): boolean {
    return (this.#request.lock ?? 0) !== vamos.tables.Lock.NONE;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<Result, undefined>> {
    for (;;) {
      const { value, done } = this.#rows.next() as IteratorResult<WindowRow, undefined>;
      if (!done) return { done: false, value: await this.#toResult(value.row!) };
      if (this.#state === 'closed' || (this.#state === 'open' && this.#cursor === 0)) {
        return { done: true, value: undefined };
      }
      this.#loading ??= this.#load().finally(() => {
        this.#loading = undefined;
      });
      await this.#loading;
    }
  }

  /** Closes the cursor; the host is told with the next request. */
  return(): Promise<IteratorResult<Result, undefined>> {
    this.#close();
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#close();
    return Promise.resolve();
  }

  /** Returns all rows that are left. */
  async all(): Promise<Result[]> {
    const results: Result[] = [];
    for await (const result of this) results.push(result);
    return results;
  }

  async #load(): Promise<void> {
    const asked = this.#ahead ?? this.#ask();
    this.#ahead = undefined;
    try {
      const reply = await asked;
      if (this.#state === 'closed') {
        if (reply.cursor !== 0) this.#link.closeCursor(reply.cursor, this.#epoch);
        return;
      }
      this.#state = 'open';
      this.#cursor = reply.cursor;
      this.#rows = readWindow(reply.window, false);
    } catch (error) {
      this.#state = 'closed';
      throw error;
    }
    if (this.#cursor === 0 || this.#isLocking) return;
    this.#windowBytes = Math.min(this.#windowBytes * 4, LARGEST_WINDOW_BYTES);
    this.#ahead = this.#ask();
    this.#ahead.catch(() => undefined);
  }

  async #ask(): Promise<vamos.tables.Rows> {
    const windowBytes = this.#windowBytes;
    if (this.#state === 'new') this.#epoch = this.#link.epoch;
    const options = { ...this.#options, epoch: this.#epoch };
    const reply =
      this.#state === 'new'
        ? this.#link.send(
            Method.OPEN_CURSOR,
            vamos.tables.OpenCursor.encode({ ...this.#request, windowBytes }).finish(),
            options,
          )
        : this.#link.send(
            Method.FETCH,
            vamos.tables.Fetch.encode({ cursor: this.#cursor, windowBytes }).finish(),
            options,
          );
    return vamos.tables.Rows.decode(await reply);
  }

  #close(): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#rows = [][Symbol.iterator]();
    if (this.#cursor === 0) return;
    const cursor = this.#cursor;
    this.#cursor = 0;
    if (!this.#ahead) {
      this.#link.closeCursor(cursor, this.#epoch);
      return;
    }
    // The window under way may be the last, after which there is nothing to close.
    this.#ahead.then(
      (reply) => {
        if (reply.cursor !== 0) this.#link.closeCursor(cursor, this.#epoch);
      },
      () => undefined,
    );
  }
}
