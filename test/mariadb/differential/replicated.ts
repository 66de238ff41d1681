/**
 * Histories of small transactions that conflict, made on a source by several connections, and applied by replicas with many
 * threads. Afterwards all rows of the replicas are the source's. A history is made whole before the replicas begin with it, so
 * that as many of its transactions as they have threads run simultaneously there.
 */
import fc from 'fast-check';
import type mysql from 'mysql2/promise';
import type { MariadbServer } from '../../../lab/mariadb/server.js';
import { Session } from '../../../lab/mariadb/session.js';
import { caughtUp, follow, Replicas } from '../replication/replicas.js';
import type { DifferentialOptions } from './property.js';
import { number16, pick } from './schema.js';

const CONNECTIONS = 4;
const THREADS = 8;
/** How long a failing history is made smaller. */
const SHRINK_MS = 120_000;

/** Each with its indexes, and an order that they have. */
const TABLES: Record<string, { columns: string; indexes: Record<string, string> }> = {
  t: {
    columns: 'id INT PRIMARY KEY, u INT, k INT, v INT, UNIQUE u (u), KEY k (k)',
    indexes: { PRIMARY: 'id', u: 'u', k: 'k' },
  },
  /** Rows that no key tells apart. */
  heap: { columns: 'k INT, v INT, KEY k (k)', indexes: { k: 'k' } },
  texts: {
    columns: 'a VARCHAR(10), b INT, v INT, PRIMARY KEY (a, b), UNIQUE b (b, a), KEY v (v DESC)',
    indexes: { PRIMARY: 'a, b', b: 'b, a', v: 'v DESC' },
  },
};
const STATEMENTS = [
  'INSERT INTO t VALUES ($id, $u, $k, 0)',
  'INSERT INTO t VALUES ($id, $u, $k, 0)',
  'INSERT INTO t VALUES ($id, $u, $k, 1), ($id + 1, $u + 1, $k, 1)',
  'INSERT INTO t VALUES ($id, $u, $k, 0) ON DUPLICATE KEY UPDATE v = v + 1',
  'REPLACE INTO t VALUES ($id, $u, $k, 5)',
  'DELETE FROM t WHERE id = $id',
  'DELETE FROM t WHERE id = $id',
  'DELETE FROM t WHERE u = $u',
  'DELETE FROM t WHERE k = $k',
  'UPDATE t SET v = v + 1 WHERE id = $id',
  'UPDATE t SET v = v + 1 WHERE k = $k',
  'UPDATE t SET k = $k WHERE id = $id',
  'UPDATE t SET u = $u WHERE id = $id',
  'UPDATE t SET id = $id + 1 WHERE u = $u',
  'INSERT INTO heap VALUES ($k, $id), ($k, $id)',
  'UPDATE heap SET v = v + 1 WHERE k = $k',
  'DELETE FROM heap WHERE k = $k',
  "INSERT INTO texts VALUES ('a$k', $id, 0)",
  "REPLACE INTO texts VALUES ('A$k', $id, $u)",
  "UPDATE texts SET v = v + 1 WHERE a = 'A$k'",
  "DELETE FROM texts WHERE a = 'a$k'",
  'UPDATE texts SET b = $u WHERE b = $id',
];
const DEFINITIONS = ['TRUNCATE TABLE heap', 'ALTER TABLE t FORCE', 'OPTIMIZE TABLE texts'];

const statement = fc.record({ form: number16, id: fc.nat(5), u: fc.nat(5), k: fc.nat(2) });
const transaction = fc.record({
  connection: fc.nat(CONNECTIONS - 1),
  statements: fc.array(statement, { minLength: 1, maxLength: 3 }),
  /** How often it is made in turn: what comes and goes is where an order matters most. */
  times: fc.constantFrom(1, 1, 1, 8),
  isUndone: fc.nat(9).map((n) => n === 0),
});
const round = fc.oneof(
  { weight: 20, arbitrary: fc.array(transaction, { minLength: 1, maxLength: CONNECTIONS }) },
  { weight: 1, arbitrary: fc.record({ definition: number16 }) },
);
const history = fc.record({
  mode: fc.constantFrom('optimistic', 'optimistic', 'aggressive', 'conservative'),
  rounds: fc.array(round, { minLength: 5, maxLength: 60, size: 'max' }),
});
type History = typeof history extends fc.Arbitrary<infer Spec> ? Spec : never;
type Statement = typeof statement extends fc.Arbitrary<infer Spec> ? Spec : never;

interface Reader {
  name: string;
  server: MariadbServer;
  session: Session;
}

/** A source and replicas of it, with and without what they apply in logs of their own. */
class Cluster implements AsyncDisposable {
  private constructor(
    private readonly replicas: Replicas,
    readonly writers: readonly mysql.Connection[],
    readonly source: Session,
    readonly readers: readonly Reader[],
  ) {}

  static async start([replica, source]: [string, string]): Promise<Cluster> {
    const replicas = new Replicas();
    try {
      const threads = `--slave-parallel-threads=${THREADS}`;
      const [{ source: server, port }, plain, logging] = await Promise.all([
        replicas.startSource(1, source),
        replicas.start(2, replica, threads),
        replicas.start(3, replica, threads, '--log-slave-updates'),
      ]);
      const writers = await Promise.all(Array.from({ length: CONNECTIONS }, () => server.connect()));
      const session = await Session.open(server);
      const readers: Reader[] = [];
      for (const [name, of] of Object.entries({
        'without log_slave_updates': plain,
        'with log_slave_updates': logging,
      })) {
        const reader = await Session.open(of);
        await follow(reader, session, port);
        readers.push({ name, server: of, session: reader });
      }
      return new Cluster(replicas, writers, session, readers);
    } catch (error) {
      await replicas[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** @param script to which is added what the source has done */
  async run({ mode, rounds }: History, script: string[]): Promise<void> {
    const send = async (connection: number, text: string) => {
      try {
        const [result] = await this.writers[connection]!.query(text);
        const { affectedRows } = result as mysql.ResultSetHeader;
        if (affectedRows > 0 || !/^(INSERT|UPDATE|DELETE|REPLACE)/.test(text))
          script.push(`${connection}: ${text};`);
      } catch (error) {
        // A statement that the source refuses is no part of the history.
        if ((error as mysql.QueryError).fatal) throw error;
      }
    };
    script.push(`-- ${mode}`);
    await send(0, 'CREATE OR REPLACE DATABASE history');
    for (const [at, writer] of this.writers.entries()) {
      await writer.query('USE history');
      // A connection that would wait for another one's lock is refused, so that a history does not depend on times.
      await writer.query('SET innodb_lock_wait_timeout = 0, tx_isolation = "READ-COMMITTED"');
      if (at > 0) continue;
      for (const [table, { columns }] of Object.entries(TABLES))
        await send(0, `CREATE TABLE ${table} (${columns})`);
    }
    for (const round of rounds) {
      if (!Array.isArray(round)) {
        await send(0, pick(DEFINITIONS, round.definition));
        continue;
      }
      const open = new Map<number, string>();
      for (const { connection, statements, times, isUndone } of round) {
        if (times > 1) {
          for (const [owner, end] of open) await send(owner, end);
          open.clear();
          for (let time = 0; time < times; time++)
            for (const each of statements) await send(connection, fillIn(each));
          continue;
        }
        if (!open.has(connection)) await send(connection, 'BEGIN');
        for (const each of statements) await send(connection, fillIn(each));
        open.set(connection, isUndone ? 'ROLLBACK' : 'COMMIT');
      }
      // Connections that commit simultaneously share a group in the source's log.
      await Promise.all([...open].map(([connection, end]) => send(connection, end)));
    }
    const expected = await this.#contents(this.source);
    await Promise.all(this.readers.map((reader) => this.#apply(reader, mode, expected)));
  }

  async #apply({ name, session }: Reader, mode: string, expected: string[]): Promise<void> {
    try {
      await session.sql(`SET GLOBAL slave_parallel_mode = ${mode}`, 'START SLAVE');
      await caughtUp(session, this.source);
      const found = await this.#contents(session);
      const at = expected.findIndex((text, index) => text !== found[index]);
      if (at >= 0) throw new Error(`${expected[at]!} on the source, ${found[at]!} on the replica`);
      await session.sql('STOP SLAVE');
    } catch (error) {
      throw new Error(`the replica ${name}: ${(error as Error).message}`, { cause: error });
    }
  }

  /** The rows of each table, and those that each of its indexes finds. */
  async #contents(session: Session): Promise<string[]> {
    const found: string[] = [];
    for (const [table, { indexes }] of Object.entries(TABLES)) {
      for (const [index, order] of Object.entries(indexes)) {
        const by = `${table} FORCE INDEX (\`${index}\`) ORDER BY ${order}`;
        const rows = (await session.sql(`SELECT * FROM history.${by}`)) as unknown[];
        found.push(
          `${by}: ${rows
            .map((row) => JSON.stringify(row))
            .sort()
            .join()}`,
        );
      }
    }
    return found;
  }

  /** Passes over what the replicas stopped at. */
  async recover(): Promise<void> {
    for (const writer of this.writers) await writer.query('ROLLBACK');
    const [[position]] = (await this.source.sql('SELECT @@gtid_binlog_pos')) as [[string]];
    for (const { session } of this.readers)
      await session.sql(
        'STOP SLAVE',
        'DROP DATABASE IF EXISTS history',
        `SET GLOBAL gtid_slave_pos = '${position}'`,
      );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.replicas[Symbol.asyncDispose]();
  }
}

function fillIn({ form, id, u, k }: Statement): string {
  return pick(STATEMENTS, form)
    .replaceAll('$id', String(id))
    .replaceAll('$u', String(u))
    .replaceAll('$k', String(k));
}

/**
 * Each random history leaves the same rows on parallel replicas as on their source.
 * @param options.engines those of the replicas and of the source
 * @throws Error with the smallest history that was found for which a replica stops or differs
 */
export async function checkReplicated({
  runs,
  seed,
  path,
  engines = ['VAMOS', 'InnoDB'],
  progress,
}: DifferentialOptions): Promise<void> {
  await using cluster = await Cluster.start(engines);
  let done = 0;
  let statements = 0;
  let failedAt: number | undefined;
  const property = fc.asyncProperty(history, async (each) => {
    if (failedAt !== undefined && Date.now() - failedAt > SHRINK_MS) return;
    const script: string[] = [];
    try {
      await cluster.run(each, script);
      statements += script.length;
      if (failedAt === undefined) progress?.(++done, statements);
    } catch (error) {
      failedAt ??= Date.now();
      await cluster.recover();
      throw new Error(`${script.join('\n')}\n-- ${(error as Error).message}`, { cause: error });
    }
  });
  const details = await fc.check(property, { numRuns: runs, seed, ...(path !== undefined && { path }) });
  if (details.failed) {
    const { errorInstance, counterexamplePath } = details;
    const text = errorInstance instanceof Error ? errorInstance.message : String(errorInstance);
    throw new Error(`seed ${seed}, path ${counterexamplePath}, history ${done + 1}:\n${text}`);
  }
}
