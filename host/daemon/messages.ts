import { z } from 'zod';
import type { GuestConfiguration } from './configuration.js';

/** What the supervisor tells a worker. */
export type ToWorker =
  | { kind: 'start'; name: string; guest: GuestConfiguration; logLevel: string }
  | { kind: 'report'; id: number }
  | { kind: 'stop'; withinMs: number };

const count = z.number().min(0);

const latency = z.object({
  /** Requests answered within each of LATENCY_BOUNDS_SECONDS, and beyond the last; each counted once. */
  counts: z.array(count).max(100),
  sumSeconds: count,
});

const report = z.object({
  /** Flat: `requests`, `tables.commits`, ... */
  counters: z.record(z.string().max(100), z.number()),
  /** By module. */
  latencies: z.record(z.string().max(100), latency),
});

export type Latency = z.output<typeof latency>;
export type Report = z.output<typeof report>;

/** What a worker tells the supervisor, who does not trust it: a guest may have taken it over. */
export const fromWorkerSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('serving') }),
  z.object({ kind: z.literal('failed'), code: z.string().max(64), message: z.string().max(4000) }),
  z.object({ kind: z.literal('report'), id: z.int(), report }),
]);

export type FromWorker = z.output<typeof fromWorkerSchema>;

/** Upper bounds of the latency histogram's buckets. */
export const LATENCY_BOUNDS_SECONDS = [
  0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10,
];
