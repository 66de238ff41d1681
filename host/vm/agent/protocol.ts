/**
 * What host and agent say to each other on the control port: one JSON text a line, with data in base64. The
 * host speaks first, with a hello that it repeats until the agent echoes its nonce; both ignore lines before
 * that.
 */

/** The longest line that either side takes. */
export const MAX_LINE_BYTES = 1 << 20;
/** The most bytes of data in one line. */
export const MAX_DATA_BYTES = 48 << 10;
/** The most bytes of standard input on their way to a command before the agent has reported some as taken. */
export const STDIN_WINDOW_BYTES = 256 << 10;

/** The name of the control port in the guest. */
export const CONTROL_PORT = 'vamos.control';

export type HostMessage =
  | { type: 'hello'; nonce: string }
  | { type: 'exec'; id: number; argv: string[]; env: Record<string, string>; cwd: string }
  /** Standard input for a command; without data, its end. */
  | { type: 'stdin'; id: number; data?: string }
  | { type: 'signal'; id: number; signal: string }
  /** Ends all commands, writes everything to disk and switches the machine off. */
  | { type: 'shutdown' };

export type GuestMessage =
  | { type: 'hello'; nonce: string; node: string }
  | { type: 'started'; id: number; pid: number }
  | { type: 'stdout' | 'stderr'; id: number; data: string }
  /** This many bytes of standard input went into the command's pipe. */
  | { type: 'taken'; id: number; bytes: number }
  | { type: 'exit'; id: number; code: number | null; signal: string | null }
  /** The command could not be started. */
  | { type: 'failed'; id: number; message: string };

/** Cuts a stream of bytes into lines. */
export class LineReader {
  #parts: Buffer[] = [];
  #bytes = 0;

  /**
   * Returns whole lines, without their ends.
   * @throws RangeError if a line is longer than MAX_LINE_BYTES
   */
  push(chunk: Buffer): string[] {
    const lines: string[] = [];
    let start = 0;
    for (;;) {
      const end = chunk.indexOf(0x0a, start);
      const part = chunk.subarray(start, end < 0 ? chunk.length : end);
      this.#bytes += part.length;
      if (this.#bytes > MAX_LINE_BYTES) throw new RangeError(`a line of more than ${MAX_LINE_BYTES} bytes`);
      this.#parts.push(part);
      if (end < 0) return lines;
      lines.push(Buffer.concat(this.#parts).toString('utf8'));
      this.reset();
      start = end + 1;
    }
  }

  reset(): void {
    this.#parts = [];
    this.#bytes = 0;
  }
}
