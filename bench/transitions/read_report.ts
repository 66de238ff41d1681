import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { check } from '../../host/daemon/configuration.js';
import { VamosError } from '../../src/protocol/errors.js';
import { ENGINES, HOST_PARTS, WORKLOADS, type TransitionReport, type TransitionRow } from './result.js';

const count = z.number().int().nonnegative();
const perRepetition = z.array(z.number().nonnegative());

const rowSchema = z.strictObject({
  workload: z.enum(WORKLOADS),
  rowBytes: count.positive(),
  engine: z.enum(ENGINES),
  channel: z.enum(['virtio-blk', 'virtio-serial']),
  connections: count.positive(),
  statements: count.positive(),
  requests: z.number().nonnegative(),
  kicks: z.array(count).min(1),
  interrupts: z.array(count),
  guestInstructions: perRepetition,
  checksum: z.string(),
  scale: z.enum(['full', 'quick']),
  dataBytes: count,
  dataDiskTransitions: perRepetition,
  requestCounts: perRepetition,
  frames: perRepetition,
  framesReceived: perRepetition,
  bytesToHost: perRepetition,
  bytesToGuest: perRepetition,
  guestKernelInstructions: perRepetition,
  guestUserInstructions: perRepetition,
  hostCpuMs: z.record(z.enum(HOST_PARTS), perRepetition),
  seconds: perRepetition,
}) satisfies z.ZodType<TransitionRow>;

/** A list that is not empty has a value for each repetition. */
const completeRowSchema = rowSchema.superRefine((row, context) => {
  const repetitions = row.kicks.length;
  const lists: [PropertyKey[], number[], canBeEmpty: boolean][] = HOST_PARTS.map((part) => [
    ['hostCpuMs', part],
    row.hostCpuMs[part],
    true,
  ]);
  for (const [name, value] of Object.entries(row)) {
    if (Array.isArray(value)) lists.push([[name], value, name !== 'interrupts']);
  }
  for (const [path, { length }, canBeEmpty] of lists) {
    if (length === repetitions || (canBeEmpty && length === 0)) continue;
    context.addIssue({ code: 'custom', path, message: `${length} values for ${repetitions} repetitions` });
  }
});

const reportSchema = z
  .strictObject({
    machine: z.string(),
    accelerator: z.enum(['kvm', 'tcg']),
    versions: z.record(z.string(), z.string()),
    date: z.iso.datetime(),
    guestSlowdown: z.number().positive(),
    gatherUs: z.number().nonnegative(),
    rows: z.array(completeRowSchema),
  })
  .superRefine(({ rows }, context) => {
    const seen = new Set<string>();
    for (const [index, { workload, rowBytes, engine }] of rows.entries()) {
      const key = `${workload} with rows of ${rowBytes} bytes on ${engine}`;
      if (seen.has(key)) context.addIssue({ code: 'custom', path: ['rows', index], message: `${key} twice` });
      seen.add(key);
    }
  }) satisfies z.ZodType<TransitionReport>;

/**
 * Reads what the benchmark wrote, all of it or some of its workloads and engines.
 * @throws VamosError BAD_CONFIGURATION with a line for each fault: where it is and what is expected
 */
export async function readReport(file: string): Promise<TransitionReport> {
  let value: unknown;
  try {
    value = JSON.parse(await readFile(file, 'utf8'));
  } catch (cause) {
    throw new VamosError('BAD_CONFIGURATION', `${file}: ${(cause as Error).message}`, { cause });
  }
  return check(reportSchema, value, (keys) =>
    [file, ...(keys.length > 0 ? [keys.join('.')] : [])].join(': '),
  );
}
