/**
 * Three connections whose statements interleave, on VAMOS and on InnoDB in step: who waits for whom, who is refused, and
 * what each one reads must be the same.
 */
import { setTimeout as delay } from 'node:timers/promises';
import fc from 'fast-check';
import type { MariadbServer } from '../server.js';
import { Mismatch, difference, outcomeOf, type Outcome, type Side } from './compare.js';
import { pick } from './schema.js';

const CONNECTIONS = 3;
const ROWS = [10, 20, 30, 40];
/**
 * What has not answered after this is taken to wait, if it is so on both engines. A busy machine may make any statement look
 * like one that waits: what fails is tried again, with more patience each time.
 */
const SETTLE_MS = [150, 600, 2400];
/** What one engine has answered, the other one answers within this. */
const AGREE_MS = 120_000;
const DEADLOCK = 1213;
/** How long a failing schedule is made smaller. */
const SHRINK_MS = 120_000;

const READ_COMMITTED = [
  'SELECT v FROM t WHERE id = $id',
  'SELECT v FROM t WHERE id = $id FOR UPDATE',
  'SELECT v FROM t WHERE id = $id LOCK IN SHARE MODE',
  'SELECT v FROM t WHERE id = $id FOR UPDATE NOWAIT',
  'SELECT id, v FROM t ORDER BY id',
  'SELECT id, v FROM t WHERE id >= $id ORDER BY id FOR UPDATE SKIP LOCKED',
  'SELECT id, v FROM t WHERE k = $k ORDER BY id LOCK IN SHARE MODE',
  'SELECT id FROM t WHERE id IN (10, $id) FOR UPDATE',
  'UPDATE t SET v = v + 1 WHERE id = $id',
  'UPDATE t SET v = v + 1 WHERE id = $id',
  'UPDATE t SET k = $k WHERE id = $id',
  'UPDATE t SET v = v * 2 WHERE k = $k',
  'UPDATE t SET u = $k * 100 WHERE id = $id',
  'UPDATE t SET k = k + 1, v = v + 1 WHERE id = $id',
  'UPDATE t JOIN (SELECT $id AS id) d USING (id) SET k = $k',
  'DELETE FROM t WHERE id = $id',
  'DELETE t FROM t JOIN (SELECT $id AS id) d USING (id)',
  'INSERT INTO t VALUES ($new, $k, 0, $new)',
  'INSERT INTO t VALUES ($new, $k, 0, $id)',
  'INSERT INTO t VALUES (1$new, $k, 0, 1$new), ($new, $k, 0, $id)',
  'INSERT INTO t VALUES ($new, $k, 0, $new) ON DUPLICATE KEY UPDATE v = v + 7',
];
// Where InnoDB locks gaps, how far these reach depends on rows that were deleted and are not purged yet: rows stay.
const WITH_GAPS = [
  'SELECT v FROM t WHERE id = $id',
  'SELECT v FROM t WHERE id = $id FOR UPDATE',
  'SELECT v FROM t WHERE id = $id LOCK IN SHARE MODE',
  'SELECT v FROM t WHERE id = $id FOR UPDATE NOWAIT',
  'SELECT v FROM t WHERE id IN (20, $id) LOCK IN SHARE MODE',
  'UPDATE t SET v = v + 1 WHERE id = $id',
  'UPDATE t SET v = v + 1 WHERE id IN ($id, 30)',
];
const ENDS = ['BEGIN', 'COMMIT', 'ROLLBACK', 'SAVEPOINT s', 'ROLLBACK TO s'];

const step = fc.record({
  connection: fc.nat(CONNECTIONS - 1),
  isEnd: fc.integer({ min: 0, max: 3 }).map((n) => n === 0),
  form: fc.nat(0xffff),
  id: fc.nat(0xffff),
  k: fc.nat(2),
});
const schedule = fc.record({
  isolation: fc.constantFrom('READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE'),
  /** Transactions begin by themselves. */
  implicit: fc.integer({ min: 0, max: 3 }).map((n) => n > 0),
  /** Changes are made beside the data where they can be, or else row by row by the server. */
  pushdown: fc.boolean(),
  steps: fc.array(step, { minLength: 2, maxLength: 25, size: 'max' }),
});
type Schedule = typeof schedule extends fc.Arbitrary<infer Spec> ? Spec : never;

/** One engine's connections, and what those that were asked have not answered yet. */
interface Place {
  engine: string;
  sides: Side[];
  pending: Set<number>;
  outcomes: Map<number, Outcome>;
  failure?: Error;
}

/**
 * @returns statements run and how many of them waited
 * @throws Error with the smallest schedule for which the engines differ
 */
export async function checkInterleaved(
  server: MariadbServer,
  { runs, seed, engines = ['VAMOS', 'InnoDB'] }: { runs: number; seed: number; engines?: [string, string] },
): Promise<{ statements: number; waits: number }> {
  const total = { statements: 0, waits: 0 };
  let failedAt: number | undefined;
  const property = fc.asyncProperty(schedule, async (each) => {
    if (failedAt !== undefined && Date.now() - failedAt > SHRINK_MS) return;
    for (const settleMs of SETTLE_MS) {
      try {
        const seen = await runSchedule(server, engines, each, settleMs);
        total.statements += seen.statements;
        total.waits += seen.waits;
        return;
      } catch (error) {
        if (settleMs !== SETTLE_MS.at(-1)) continue;
        failedAt ??= Date.now();
        throw error;
      }
    }
  });
  const details = await fc.check(property, { numRuns: runs, seed });
  if (details.failed) {
    const { errorInstance } = details;
    const text = errorInstance instanceof Error ? errorInstance.message : String(errorInstance);
    throw new Error(`seed ${seed}, path ${details.counterexamplePath}:\n${text}`);
  }
  return total;
}

async function runSchedule(
  server: MariadbServer,
  engines: [string, string],
  { isolation, implicit, pushdown, steps }: Schedule,
  settleMs: number,
): Promise<{ statements: number; waits: number }> {
  const script: string[] = [];
  const places: Place[] = [];
  let statements = 0;
  let waits = 0;
  try {
    for (const [index, engine] of engines.entries())
      places.push(await open(server, engine, index, { isolation, implicit, pushdown }));
    const forms = isolation === 'READ COMMITTED' ? READ_COMMITTED : WITH_GAPS;
    for (const each of steps) {
      const { connection } = each;
      if (places[0]!.pending.has(connection)) continue;
      const text = each.isEnd ? pick(ENDS, each.form) : fillIn(pick(forms, each.form), each);
      script.push(`${connection}: ${text}`);
      statements++;
      for (const place of places) ask(place, connection, text);
      await settle(places, script, settleMs);
      if (places[0]!.pending.has(connection)) waits++;
      if (isDeadlock(places)) return { statements, waits };
    }
    // All end; each end lets others go on.
    const unfinished = new Set(places[0]!.sides.keys());
    while (unfinished.size > 0) {
      const free = [...unfinished].find((connection) => !places[0]!.pending.has(connection));
      if (free === undefined) throw new Mismatch('all wait for one another');
      script.push(`${free}: COMMIT`);
      for (const place of places) ask(place, free, 'COMMIT');
      await settle(places, script, settleMs);
      if (isDeadlock(places)) return { statements, waits };
      unfinished.delete(free);
    }
    script.push('0: SELECT * FROM t ORDER BY id');
    for (const place of places) ask(place, 0, 'SELECT * FROM t ORDER BY id');
    await settle(places, script, settleMs);
    return { statements, waits };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Mismatch(
      [
        `-- ${isolation}${implicit ? ', autocommit = 0' : ''}${pushdown ? '' : ', no push-down'}`,
        ...script,
        `-- ${reason}`,
      ].join('\n'),
      { cause: error },
    );
  } finally {
    for (const { sides } of places) for (const { connection } of sides) connection.destroy();
  }
}

function fillIn(form: string, { id, k }: { id: number; k: number }): string {
  const row = pick(ROWS, id);
  // Some new rows, some that are there.
  const fresh = row + (id % 4 === 0 ? 0 : (id % 3) + 1);
  return form.replaceAll('$id', String(row)).replaceAll('$k', String(k)).replaceAll('$new', String(fresh));
}

async function open(
  server: MariadbServer,
  engine: string,
  index: number,
  { isolation, implicit, pushdown }: Omit<Schedule, 'steps'>,
): Promise<Place> {
  const sides: Side[] = [];
  for (let n = 0; n < CONNECTIONS; n++) {
    const connection = await server.connect({ flags: ['-FOUND_ROWS'] });
    sides.push({ engine, connection });
    if (n === 0) {
      const rows = ROWS.map((id) => `(${id}, ${(id / 10) % 3}, ${id}, ${id})`).join(', ');
      for (const sql of [
        `CREATE DATABASE IF NOT EXISTS i${index}`,
        `USE i${index}`,
        `DROP TABLE IF EXISTS t`,
        `CREATE TABLE t (id INT PRIMARY KEY, k INT, v INT, u INT, KEY (k), UNIQUE (u)) ENGINE=${engine}`,
        `INSERT INTO t VALUES ${rows}`,
      ])
        await connection.query(sql);
    }
    await connection.query(`USE i${index}`);
    await connection.query(`SET SESSION TRANSACTION ISOLATION LEVEL ${isolation}`);
    if (implicit) await connection.query('SET autocommit = 0');
    if (!pushdown) await connection.query('SET vamos_pushdown = OFF');
  }
  return { engine, sides, pending: new Set(), outcomes: new Map() };
}

function ask(place: Place, connection: number, text: string): void {
  place.pending.add(connection);
  place.outcomes.delete(connection);
  outcomeOf(place.sides[connection]!, { text, ordered: true }).then(
    (outcome) => {
      place.outcomes.set(connection, outcome);
      place.pending.delete(connection);
    },
    (error: unknown) => {
      place.failure = error as Error;
      place.pending.delete(connection);
    },
  );
}

/**
 * Where one that holds a row shared wants it exclusively while another one waits for it, InnoDB refuses one of the two; on VAMOS
 * the holder goes first. So it counts if InnoDB alone says deadlock, not if VAMOS does.
 */
const isDeadlock = (places: Place[]) =>
  [...places.at(-1)!.outcomes.values()].some(({ error }) => error?.errno === DEADLOCK);

/**
 * Until the same connections have answered on both, and the rest has had time to. A deadlock ends one of those in it;
 * which one, the engines choose as they like.
 */
async function settle(places: Place[], script: string[], settleMs: number): Promise<void> {
  const [one, other] = places as [Place, Place];
  const began = Date.now();
  for (;;) {
    for (const { failure } of places) if (failure) throw failure;
    if (isDeadlock(places)) return;
    const agree =
      one.pending.size === other.pending.size && [...one.pending].every((each) => other.pending.has(each));
    const waited = Date.now() - began;
    if (agree && (one.pending.size === 0 || waited > settleMs)) break;
    if (!agree && waited > AGREE_MS) {
      const waiting = places.map(
        ({ engine, pending }) => `${engine}: ${[...pending].join(', ') || 'nobody'}`,
      );
      throw new Mismatch(`who waits: ${waiting.join('; ')}`);
    }
    await delay(waited < 5 ? 1 : 5);
  }
  for (const [connection, outcome] of one.outcomes) {
    const same = other.outcomes.get(connection)!;
    if (JSON.stringify(outcome) !== JSON.stringify(same))
      throw new Mismatch(`${connection}: ${difference([one.engine, other.engine], outcome, same)}`);
    if (script.at(-1)?.startsWith(`${connection}:`) === false)
      script.push(`   (${connection} goes on: ${outcome.error ? `error ${outcome.error.errno}` : 'done'})`);
  }
  one.outcomes.clear();
  other.outcomes.clear();
}
