import { z } from 'zod';
import { LATENCY_BUCKETS } from '../../src/rpc/host/statistics.js';
import type { GuestConfiguration } from './configuration.js';

/** What the supervisor tells a worker. */
export type ToWorker =
  | { kind: 'start'; name: string; guest: GuestConfiguration; logLevel: string; stopMs: number }
  | { kind: 'report'; id: number }
  | { kind: 'hold'; id: number }
  | { kind: 'release'; id: number }
  /** Sent instead of start: the worker looks at the damaged root, answers and ends. */
  | { kind: 'repair'; name: string; guest: GuestConfiguration; acceptLoss: boolean }
  | { kind: 'verify'; id: number; bytesPerSecond?: number | undefined }
  /** What was asked under this id must end. */
  | { kind: 'cancel'; id: number }
  | { kind: 'stop' };

const count = z.number().min(0);
const shortText = z.string().max(1000);
const counts = z.record(shortText, count);

/**
 * A worker's ServerStatistics (src/rpc/host/statistics.ts), its modules' counters, and figures of its
 * process.
 */
const report = z.object({
  server: z.object({
    sessions: z
      .array(
        z.object({
          id: shortText,
          epoch: count,
          program: shortText,
          address: shortText,
          startedAt: count,
          streams: count,
          running: count,
          parked: count,
        }),
      )
      .max(10_000),
    sessionsStarted: count,
    sessionsEnded: counts,
    channels: z.object({
      framesSent: count,
      framesReceived: count,
      bytesSent: count,
      bytesReceived: count,
      writeCalls: count,
      readCalls: count,
    }),
    requestFrames: count,
    requests: count,
    parked: count,
    errors: counts,
    methods: z
      .array(
        z.object({
          method: count,
          count,
          sumMicroseconds: count,
          buckets: z.array(count).max(LATENCY_BUCKETS),
        }),
      )
      .max(10_000),
  }),
  /** Counters by module, and by the names that HostModule.statistics() gives them. */
  modules: z.record(shortText, z.record(shortText, z.number())),
  process: z.object({ cpuSeconds: count, residentBytes: count }),
});

export type Report = z.output<typeof report>;

/**
 * HeldFiles of binding.ts. Names are restricted to those of RocksDB's files, so that none leads out of its
 * folder.
 */
const heldFiles = z.object({
  identity: z.string().max(100),
  sequence: count,
  rocksdb: z.string().max(100),
  files: z
    .array(
      z.object({
        name: z.string().regex(/^(\d{6,20}\.(sst|log)|(MANIFEST|OPTIONS)-\d{6,20})$/),
        bytes: z.int().min(0),
        crc32c: z
          .string()
          .regex(/^[0-9a-f]{8}$/)
          .optional(),
      }),
    )
    .max(10_000_000),
});

/** RepairReport of the tables' binding. */
const repairReport = z.object({
  damage: z.string().max(4000),
  lostRecords: count,
  lostCommits: count,
  lostBytes: count,
  isIncomplete: z.boolean(),
  parts: z.array(z.object({ file: shortText, fromByte: count })).max(100_000),
  keptIn: z.string().max(4096),
});

const longText = z.string().max(4000);

/** VerifyProgress and StoreReport of modules/tables/verify.ts. */
const verifyProgress = z.object({
  phase: shortText,
  table: longText.optional(),
  bytesDone: count,
  findings: count,
});
const storeReport = z.object({
  tables: count,
  bytes: count,
  totals: z.object({
    files: count,
    fileBytes: count,
    filesWithChecksum: count,
    rows: count,
    entries: count,
    blobs: count,
    blobBytes: count,
    blobsLeft: count,
    records: count,
  }),
  findings: z
    .array(
      z.object({
        kind: shortText,
        table: longText.optional(),
        index: longText.optional(),
        text: longText,
      }),
    )
    .max(200_000),
  findingCount: count,
});

/** What a worker tells the supervisor, which does not trust it: a guest may have taken the worker over. */
export const fromWorkerSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('serving') }),
  z.object({ kind: z.literal('failed'), code: z.string().max(64), message: z.string().max(4000) }),
  z.object({ kind: z.literal('report'), id: z.int(), report }),
  z.object({ kind: z.literal('held'), id: z.int(), files: heldFiles }),
  z.object({ kind: z.literal('released'), id: z.int() }),
  z.object({ kind: z.literal('progress'), id: z.int(), progress: verifyProgress }),
  z.object({ kind: z.literal('verified'), id: z.int(), report: storeReport }),
  z.object({
    kind: z.literal('refused'),
    id: z.int(),
    code: z.string().max(64),
    message: z.string().max(4000),
  }),
  z.object({ kind: z.literal('repaired'), report: repairReport }),
]);

export type FromWorker = z.output<typeof fromWorkerSchema>;
