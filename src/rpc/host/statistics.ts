import type { ChannelCounters } from '../../channel/channel.js';
import type { ErrorName } from '../../protocol/errors.js';

/**
 * Buckets of a histogram. Bucket i counts what took less than 2^i microseconds, the last one also what took
 * longer.
 */
export const LATENCY_BUCKETS = 28;

export interface MethodStatistics {
  /** module << 8 | method */
  method: number;
  /** Requests answered, with their time from arrival to answer. */
  count: number;
  sumMicroseconds: number;
  /** LATENCY_BUCKETS counts, which are not cumulative. */
  buckets: number[];
}

export interface SessionStatistics {
  id: string;
  epoch: number;
  program: string;
  address: string;
  /** Milliseconds since 1970. */
  startedAt: number;
  /** Streams with requests that are not answered. */
  streams: number;
  running: number;
  parked: number;
}

export interface ServerStatistics {
  sessions: SessionStatistics[];
  sessionsStarted: number;
  /** Ended sessions by reason; OK: the connector said goodbye. */
  sessionsEnded: Partial<Record<ErrorName, number>>;
  /** The counters of all channels, open and closed, summed up. */
  channels: ChannelCounters;
  /** Frames that carried requests. */
  requestFrames: number;
  requests: number;
  /** Requests that wait now, in all sessions. */
  parked: number;
  /** Failed requests, by code. */
  errors: Partial<Record<ErrorName, number>>;
  methods: MethodStatistics[];
}

/** What a server counts about requests. */
export class RequestStatistics {
  requestFrames = 0;
  requests = 0;
  readonly errors: Partial<Record<ErrorName, number>> = {};
  readonly #methods = new Map<number, MethodStatistics>();

  answered(method: number, milliseconds: number, error: ErrorName | undefined): void {
    if (error !== undefined) count(this.errors, error);
    // A connector may invent methods without end, which must not become entries here.
    if (error === 'UNKNOWN_METHOD') return;
    let statistics = this.#methods.get(method);
    if (statistics === undefined) {
      statistics = {
        method,
        count: 0,
        sumMicroseconds: 0,
        buckets: new Array<number>(LATENCY_BUCKETS).fill(0),
      };
      this.#methods.set(method, statistics);
    }
    const microseconds = Math.max(0, milliseconds * 1000);
    statistics.count++;
    statistics.sumMicroseconds += microseconds;
    const bucket = 32 - Math.clz32(Math.min(microseconds, 0x7fff_ffff));
    statistics.buckets[Math.min(bucket, LATENCY_BUCKETS - 1)]!++;
  }

  get methods(): MethodStatistics[] {
    return [...this.#methods.values()].map((method) => ({ ...method, buckets: [...method.buckets] }));
  }
}

export function count(counts: Partial<Record<ErrorName, number>>, name: ErrorName): void {
  counts[name] = (counts[name] ?? 0) + 1;
}

export function noCounters(): ChannelCounters {
  return { framesSent: 0, framesReceived: 0, bytesSent: 0, bytesReceived: 0, writeCalls: 0, readCalls: 0 };
}

export function addCounters(sum: ChannelCounters, counters: Readonly<ChannelCounters>): void {
  for (const name of Object.keys(sum) as (keyof ChannelCounters)[]) sum[name] += counters[name];
}
