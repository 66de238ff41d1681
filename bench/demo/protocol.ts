/**
 * What the demo and its program in the guest say to each other: a JSON text a line, with one answer to each
 * request, in order. So the demo can switch the transition counters on and off exactly around each operation.
 */
export type Request =
  /** Connects and opens the tables, which the first operation makes. */
  | { do: 'open' }
  | { do: 'run'; phase: string }
  /** Reads back what the operation wrote. */
  | { do: 'verify'; phase: string }
  | { do: 'close' };

export interface RunResult {
  statements: number;
  seconds: number;
  requests: number;
  frames: number;
  /** Bytes over the channel, with frame headers. */
  bytesToHost: number;
  bytesToGuest: number;
  /** The checksum of a read. */
  checksum?: string;
}

export type Answer = { error: string } | (Partial<RunResult> & { error?: undefined });
