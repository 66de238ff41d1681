/**
 * Three connections whose statements interleave, on VAMOS and on InnoDB in step: who waits for whom, who is refused, and
 * what each one reads must be the same. In some schedules the table is emptied or rebuilt beside open snapshots, too.
 */
import { setTimeout as delay } from 'node:timers/promises';
import fc from 'fast-check';
import { until } from '../../../lab/daemon/daemon.js';
import type { MariadbServer } from '../../../lab/mariadb/server.js';
import { definitionWaits, lockWaits, untilPurged } from '../../../lab/mariadb/session.js';
import { Mismatch, difference, outcomeOf, type Outcome, type Side } from './compare.js';
import type { DifferentialOptions } from './property.js';
import { pick } from './schema.js';

const CONNECTIONS = 3;
const ROWS = [10, 20, 30, 40];
/**
 * Values of the unique index that stay, between all that come and go. Where InnoDB meets a duplicate there, or what a deleted one
 * has left until it is purged, it locks the gap before it or the next value as well, at READ COMMITTED, too: VAMOS does not.
 */
const FENCES = [5, 15, 25, 35, 45, 150, 250];
/** Further rows, enough that no plan reads the whole table where it could read some points of it: which rows are locked depends on that. */
const OTHER_ROWS = 40;
/** A statement that neither answers nor waits for a lock within this hangs. */
const HANGS_MS = 120_000;
const DEADLOCK = 1213;
/** How long a failing schedule is made smaller. */
const SHRINK_MS = 120_000;

// Which rows and entries are locked depends on the index. Where the optimizer could choose, by each engine's costs, it is said.
const READ_COMMITTED = [
  'SELECT v FROM t WHERE id = $id',
  'SELECT v FROM t WHERE id = $id FOR UPDATE',
  'SELECT v FROM t WHERE id = $id LOCK IN SHARE MODE',
  'SELECT v FROM t WHERE id = $id FOR UPDATE NOWAIT',
  'SELECT id, v FROM t ORDER BY id',
  'SELECT id, v FROM t FORCE INDEX (PRIMARY) WHERE id >= $id ORDER BY id FOR UPDATE SKIP LOCKED',
  'SELECT id, v FROM t FORCE INDEX (k) WHERE k = $k ORDER BY id LOCK IN SHARE MODE',
  'SELECT id FROM t FORCE INDEX (PRIMARY) WHERE id IN (10, $id) FOR UPDATE',
  'UPDATE t SET v = v + 1 WHERE id = $id',
  'UPDATE t SET v = v + 1 WHERE id = $id',
  'UPDATE t SET k = $k WHERE id = $id',
  'UPDATE t FORCE INDEX (k) SET v = v * 2 WHERE k = $k',
  'UPDATE t SET u = $k * 100 WHERE id = $id',
  'UPDATE t SET k = k + 1, v = v + 1 WHERE id = $id',
  'UPDATE t JOIN (SELECT $id AS id) d USING (id) SET k = $k',
  'DELETE FROM t WHERE id = $id',
  'DELETE t FROM t JOIN (SELECT $id AS id) d USING (id)',
  'INSERT INTO t VALUES ($new, $k, 0, 9$new)',
  // Refused for the unique value of the last row.
  'INSERT INTO t VALUES (5$new, $k, 0, $id)',
  'INSERT INTO t VALUES (6$new, $k, 0, 8$new), (7$new, $k, 0, $id)',
  'INSERT INTO t VALUES ($new, $k, 0, 9$new) ON DUPLICATE KEY UPDATE v = v + 7',
];
// Where InnoDB locks gaps, their ends depend on rows that were deleted and are not purged yet, so rows stay.
const WITH_GAPS = [
  'SELECT v FROM t WHERE id = $id',
  'SELECT v FROM t WHERE id = $id FOR UPDATE',
  'SELECT v FROM t WHERE id = $id LOCK IN SHARE MODE',
  'SELECT v FROM t WHERE id = $id FOR UPDATE NOWAIT',
  'SELECT v FROM t FORCE INDEX (PRIMARY) WHERE id IN (20, $id) LOCK IN SHARE MODE',
  'UPDATE t SET v = v + 1 WHERE id = $id',
  'UPDATE t FORCE INDEX (PRIMARY) SET v = v + 1 WHERE id IN ($id, 30)',
];
const ENDS = ['BEGIN', 'COMMIT', 'ROLLBACK', 'SAVEPOINT s', 'ROLLBACK TO s'];
/**
 * Statements that rebuild the table or empty it. Not among them, because InnoDB makes them in place and then gives older
 * snapshots the rows, where VAMOS copies and refuses them (error 1412): ADD INDEX, ADD COLUMN and others without ALGORITHM=COPY.
 */
const DEFINITIONS = [
  'ALTER TABLE t FORCE',
  'ALTER TABLE t COMMENT = $text, ALGORITHM=COPY',
  'OPTIMIZE TABLE t',
  'TRUNCATE TABLE t',
];
/** Statements that take a snapshot without the table, through one that no statement changes. */
const SNAPSHOTS = ['SELECT * FROM other', 'SELECT * FROM other', 'BEGIN'];
// Not under SERIALIZABLE: there InnoDB does not read by this snapshot, and yet refuses tables that are younger.
const REPEATABLE_READ = [...SNAPSHOTS, 'START TRANSACTION WITH CONSISTENT SNAPSHOT'];

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
  withDefinitions: fc.integer({ min: 0, max: 2 }).map((n) => n === 0),
  /** What a schedule with definitions may begin with: a snapshot, the table rebuilt or emptied under it, a use of the table. */
  rebuilt: fc.option(
    fc.record({ definition: fc.nat(0xffff), form: fc.nat(0xffff), id: fc.nat(0xffff), k: fc.nat(2) }),
  ),
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
  /** The last statement of each connection. */
  texts: Map<number, string>;
  outcomes: Map<number, Outcome>;
  failure?: Error;
  /** Purges the record of each deleted row, and so the locks that others have on it. */
  purge?: () => Promise<void>;
}

/**
 * @returns statements run and how many of them waited
 * @throws Error with the smallest schedule for which the engines differ
 */
export async function checkInterleaved(
  server: MariadbServer,
  { runs, seed, path, engines = ['VAMOS', 'InnoDB'], progress }: DifferentialOptions,
): Promise<{ statements: number; waits: number }> {
  const total = { statements: 0, waits: 0 };
  let done = 0;
  let failedAt: number | undefined;
  const property = fc.asyncProperty(schedule, async (each) => {
    if (failedAt !== undefined && Date.now() - failedAt > SHRINK_MS) return;
    try {
      const seen = await runSchedule(server, engines, each);
      total.statements += seen.statements;
      total.waits += seen.waits;
      if (failedAt === undefined) progress?.(++done, total.statements);
    } catch (error) {
      failedAt ??= Date.now();
      throw error;
    }
  });
  const details = await fc.check(property, { numRuns: runs, seed, ...(path !== undefined && { path }) });
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
  { isolation, implicit, withDefinitions, rebuilt, pushdown, steps }: Schedule,
): Promise<{ statements: number; waits: number }> {
  const script: string[] = [];
  const places: Place[] = [];
  let statements = 0;
  let waits = 0;
  try {
    for (const [index, engine] of engines.entries())
      places.push(await open(server, engine, index, { isolation, implicit, pushdown }));
    const rows = isolation === 'READ COMMITTED' ? READ_COMMITTED : WITH_GAPS;
    const snapshots = isolation === 'REPEATABLE READ' ? REPEATABLE_READ : SNAPSHOTS;
    const forms = withDefinitions ? [...rows, ...DEFINITIONS, ...snapshots] : rows;
    const planned = steps.map((each) => ({
      connection: each.connection,
      text: each.isEnd ? pick(ENDS, each.form) : fillIn(pick(forms, each.form), each),
    }));
    if (withDefinitions && rebuilt) {
      planned.unshift(
        { connection: 0, text: 'BEGIN' },
        { connection: 0, text: 'SELECT * FROM other' },
        { connection: 1, text: fillIn(pick(DEFINITIONS, rebuilt.definition), rebuilt) },
        { connection: 0, text: fillIn(pick(rows, rebuilt.form), rebuilt) },
      );
    }
    for (const { connection, text } of planned) {
      if (places[0]!.pending.has(connection)) continue;
      // It ends its connection's transaction first, for which a change of the table may have waited: whether that change is done
      // before the snapshot is taken or after it is a matter of moments.
      if (text.startsWith('START TRANSACTION') && places[0]!.pending.size > 0) continue;
      script.push(`${connection}: ${text}`);
      statements++;
      for (const place of places) ask(place, connection, text);
      const goesOn = await settle(server, places, script);
      if (places[0]!.pending.has(connection)) waits++;
      if (!goesOn) return { statements, waits };
    }
    // All transactions end; each end lets others go on.
    const unfinished = new Set(places[0]!.sides.keys());
    while (unfinished.size > 0) {
      const free = [...unfinished].find((connection) => !places[0]!.pending.has(connection));
      // No server sees a circle of waits for definitions (the server's) and for rows (the engine's).
      if (free === undefined && withDefinitions) return { statements, waits };
      if (free === undefined) throw new Mismatch('all wait for one another');
      script.push(`${free}: COMMIT`);
      for (const place of places) ask(place, free, 'COMMIT');
      if (!(await settle(server, places, script))) return { statements, waits };
      unfinished.delete(free);
    }
    script.push('0: SELECT * FROM t ORDER BY id');
    for (const place of places) ask(place, 0, 'SELECT * FROM t ORDER BY id');
    await settle(server, places, script);
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
    await close(server, places);
  }
}

function fillIn(form: string, { id, k }: { id: number; k: number }): string {
  const row = pick(ROWS, id);
  // Some rows are new, some are there already.
  const fresh = row + (id % 4 === 0 ? 0 : (id % 3) + 1);
  return form
    .replaceAll('$id', String(row))
    .replaceAll('$k', String(k))
    .replaceAll('$new', String(fresh))
    .replaceAll('$text', `'${id}'`);
}

async function open(
  server: MariadbServer,
  engine: string,
  index: number,
  { isolation, implicit, pushdown }: Pick<Schedule, 'isolation' | 'implicit' | 'pushdown'>,
): Promise<Place> {
  const sides: Side[] = [];
  for (let n = 0; n < CONNECTIONS; n++) {
    const connection = await server.connect({ flags: ['-FOUND_ROWS'] });
    sides.push({ engine, connection });
    if (n === 0) {
      const rows = [
        ...ROWS.map((id) => `(${id}, ${(id / 10) % 3}, ${id}, ${id})`),
        ...FENCES.map((value) => `(${1000 + value}, 99, 0, ${value})`),
        ...Array.from({ length: OTHER_ROWS }, (_, at) => `(${2000 + at}, 98, 0, ${3000 + at})`),
      ].join(', ');
      for (const sql of [
        `CREATE DATABASE IF NOT EXISTS i${index}`,
        `USE i${index}`,
        `DROP TABLE IF EXISTS t, other`,
        `CREATE TABLE other (id INT PRIMARY KEY) ENGINE=${engine}`,
        `INSERT INTO other VALUES (1)`,
        `CREATE TABLE t (id INT PRIMARY KEY, k INT, v INT, u INT, KEY (k), UNIQUE (u)) ENGINE=${engine}`,
        `INSERT INTO t VALUES ${rows}`,
      ])
        await connection.query(sql);
    }
    await connection.query(`USE i${index}`);
    await connection.query(`SET SESSION TRANSACTION ISOLATION LEVEL ${isolation}`);
    if (implicit) await connection.query('SET autocommit = 0');
    // By default InnoDB rebuilds a table in place, and others may write to it meanwhile.
    await connection.query('SET alter_algorithm = COPY');
    if (!pushdown) await connection.query('SET vamos_pushdown = OFF');
  }
  const place: Place = { engine, sides, pending: new Set(), texts: new Map(), outcomes: new Map() };
  // Above this level no row of a schedule is deleted, and an open snapshot would keep the purge from its end.
  if (engine === 'InnoDB' && isolation === 'READ COMMITTED') place.purge = () => untilPurged(server);
  return place;
}

/** Ends the connections, and what they wait for: the next schedule's waits are to be its own. */
async function close(server: MariadbServer, places: Place[]): Promise<void> {
  const connections = places.flatMap(({ sides }) => sides.map(({ connection }) => connection));
  for (const connection of connections) {
    await server.query(`KILL ${connection.threadId}`).catch(() => undefined);
    connection.destroy();
  }
  const threads = connections.map(({ threadId }) => threadId).join();
  const left = `SELECT 1 FROM information_schema.PROCESSLIST WHERE ID IN (${threads})`;
  await until(async () => (await server.query(left)).length === 0 && (await waiting(server, places)) === 0);
}

function ask(place: Place, connection: number, text: string): void {
  place.pending.add(connection);
  place.texts.set(connection, text);
  place.outcomes.delete(connection);
  // The server counts the rows that it copies.
  outcomeOf(place.sides[connection]!, { text, ordered: true, anyCount: text.startsWith('ALTER') }).then(
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
 * the holder goes first. So it counts if InnoDB alone says deadlock, not if VAMOS does. Where it asked for NOWAIT or SKIP LOCKED,
 * it has the row on VAMOS alone.
 */
const isDeadlock = (places: Place[]) =>
  [...places.at(-1)!.outcomes.values()].some(({ error }) => error?.errno === DEADLOCK);

/**
 * Scans of a secondary index lock rows; on InnoDB entries of the index, too. One that waits where the entry goes meanwhile goes on
 * there, and on VAMOS waits for its turn at the row: that it waits is compared, and nothing behind it.
 */
const waitsByEntry = ({ pending, texts }: Place) =>
  [...pending].some((connection) => texts.get(connection)!.includes('FORCE INDEX (k)'));

/** How many statements wait for a lock: of a row, or of the table's definition. */
async function waiting(server: MariadbServer, places: Place[]): Promise<number> {
  const engines = new Set(places.map(({ engine }) => engine));
  const threads = places.flatMap(({ sides }) => sides.map(({ connection }) => connection.threadId));
  const counts = await Promise.all([
    definitionWaits(server, threads),
    ...[...engines].map((engine) => lockWaits(server, engine)),
  ]);
  return counts.reduce((sum, count) => sum + count);
}

const samePending = ([one, other]: [Place, Place]) =>
  one.pending.size === other.pending.size && [...one.pending].every((each) => other.pending.has(each));

/**
 * Until each statement that was asked has been answered, or waits. A deadlock ends one of those in it; which one, the engines
 * choose as they like. A statement of InnoDB that finds a deleted row keeps the lock of its record, and others wait for it: until
 * the record is purged, some milliseconds after the DELETE has been committed. So who waits there counts when this has been done.
 * @returns whether the schedule goes on: both are in the same state
 */
async function settle(server: MariadbServer, places: Place[], script: string[]): Promise<boolean> {
  const [one, other] = places as [Place, Place];
  let isPurged = false;
  let began = Date.now();
  const pending = () => places.reduce((sum, place) => sum + place.pending.size, 0);
  for (;;) {
    for (const { failure } of places) if (failure) throw failure;
    if (isDeadlock(places)) return false;
    const before = pending();
    if (before === 0) break;
    const waited = Date.now() - began;
    // If all wait now they have done so all the while: no other connection could have let them go on.
    if (waited > 2 && (await waiting(server, places)) === before && pending() === before) {
      if (isPurged || !other.purge || samePending([one, other])) break;
      await other.purge();
      isPurged = true;
      began = Date.now();
      continue;
    }
    if (waited > HANGS_MS) throw new Mismatch(`some neither answer nor wait: ${pendingOf(places)}`);
    await delay(waited < 5 ? 1 : 5);
  }
  if (!samePending([one, other])) throw new Mismatch(`who waits: ${pendingOf(places)}`);
  for (const [connection, outcome] of one.outcomes) {
    const same = other.outcomes.get(connection)!;
    const isSame = JSON.stringify(outcome) === JSON.stringify(same);
    if (!isSame && one.pending.size > 0 && /NOWAIT|SKIP LOCKED/.test(script.at(-1)!)) return false;
    if (!isSame)
      throw new Mismatch(`${connection}: ${difference([one.engine, other.engine], outcome, same)}`);
    if (script.at(-1)?.startsWith(`${connection}:`) === false)
      script.push(`   (${connection} goes on: ${outcome.error ? `error ${outcome.error.errno}` : 'done'})`);
  }
  one.outcomes.clear();
  other.outcomes.clear();
  return !waitsByEntry(one);
}

function pendingOf(places: Place[]): string {
  return places.map(({ engine, pending }) => `${engine}: ${[...pending].join(', ') || 'none'}`).join('; ');
}
