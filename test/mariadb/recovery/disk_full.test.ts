/** The host's disk is full: statements fail and say why; when there is room, all goes on, and every answer was true. */
import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { Folder, until } from '../../../lab/daemon/daemon.js';
import { SmallDisk } from '../../daemon/small_disk.js';
import { Host } from '../../../lab/mariadb/host.js';
import { MariadbServer } from '../../../lab/mariadb/server.js';
import { Session } from '../../../lab/mariadb/session.js';

/** Statements wait no longer for a host that is not there; commits of what is prepared wait for both. */
const TIMEOUTS = ['--vamos-connect-timeout-ms=1000', '--vamos-request-timeout-ms=5000'];
/** VAMOS's error: 2000 and the code OUTCOME_UNKNOWN. */
const UNKNOWN = /Got (temporary )?error 2044 /;
const VALUE_BYTES = 16_384;

/** Writes rows, two at a time, until it is told to stop; knows what it was told of each pair. */
class Writer {
  /** The error of the statement or transaction that wrote rows 2 * index and 2 * index + 1; '' for none. */
  readonly outcomes: string[] = [];

  constructor(
    readonly number: number,
    private readonly session: Session,
    private readonly way: Way,
  ) {}

  get errors(): string[] {
    return this.outcomes.filter((error) => error !== '');
  }

  async run(mayStop: () => boolean): Promise<void> {
    while (!mayStop()) {
      const first = 2 * this.outcomes.length;
      const error = await this.#write([first, first + 1]).then(
        () => '',
        (thrown: Error) => thrown.message,
      );
      this.outcomes.push(error);
      // A client that fails immediately must not fail a thousand times.
      if (error !== '') await delay(20);
    }
  }

  async #write(ids: number[]): Promise<void> {
    const { connection } = this.session;
    const values = ids.map((id) => [this.number, id, randomBytes(VALUE_BYTES)]);
    if (this.way === 'statement') {
      await connection.query('INSERT INTO t VALUES ?', [values]);
      return;
    }
    await connection.query('BEGIN');
    try {
      for (const value of values) await connection.query('INSERT INTO t VALUES ?', [[value]]);
      // The host has it before the commit comes.
      if (this.way === 'begun transaction') {
        await connection.query('SELECT id FROM t WHERE writer = ? AND id = ? FOR UPDATE', [
          this.number,
          ids[0],
        ]);
      }
      await connection.query('COMMIT');
    } catch (error) {
      await connection.query('ROLLBACK');
      throw error;
    }
  }
}

const WAYS = ['statement', 'transaction', 'begun transaction'] as const;
type Way = (typeof WAYS)[number];

describe.skipIf(SmallDisk.obstacle !== undefined)('a full disk of the host', () => {
  test.each([
    ['without a binary log', []],
    ['with a binary log', ['--log-bin', '--server-id=1']],
  ])(
    'keeps what was acknowledged, and nothing that was refused, %s',
    { timeout: 120_000 },
    async (_, args) => {
      using folder = new Folder();
      using disk = new SmallDisk(folder.file('host'), 8);
      await using host = new Host(folder);
      await host.start();
      await using server = await MariadbServer.start({
        host,
        args: ['--default-storage-engine=VAMOS', ...TIMEOUTS, ...args],
      });
      await server.query(
        `CREATE TABLE t (writer INT, id INT, v VARBINARY(${VALUE_BYTES}), PRIMARY KEY (writer, id))`,
      );
      await server.query('CREATE TABLE counters (id INT PRIMARY KEY, n INT)');
      await server.query('INSERT INTO counters VALUES (1, 0)');
      const pid = server.pid;
      const sessions = await Promise.all([...WAYS, ...WAYS, 'counter'].map(() => Session.open(server)));
      const counterSession = sessions.pop()!;
      const writers = sessions.map(
        (session, index) => new Writer(index, session, WAYS[index % WAYS.length]!),
      );
      let isOver = false;
      const mayStop = (): boolean => isOver;
      const counted = { done: 0, unknown: 0 };
      const count = async (): Promise<void> => {
        while (!mayStop()) {
          try {
            await counterSession.sql('UPDATE counters SET n = n + 1 WHERE id = 1');
            counted.done++;
          } catch (error) {
            if (UNKNOWN.test((error as Error).message)) counted.unknown++;
          }
        }
      };
      const running = Promise.all([...writers.map((writer) => writer.run(mayStop)), count()]);

      // The worker has tried, in vain, to open the root again, and every client was told.
      await until(() => writers.every(({ errors }) => errors.length >= 2) && host.log.includes('make room'));
      await until(() =>
        writers.some(({ errors }) => errors.join('\n').includes('host/tables: the disk is full; make room')),
      );
      disk.resize(256);
      const before = writers.map(({ outcomes }) => outcomes.length);
      await until(() => writers.every(({ outcomes }, index) => outcomes.lastIndexOf('') >= before[index]!));
      isOver = true;
      await running;
      expect(server.pid).toBe(pid);

      const rows = (await counterSession.sql('SELECT writer, id FROM t')) as [number, number][];
      const there = new Set(rows.map(([writer, id]) => `${writer}/${id}`));
      for (const { number, outcomes } of writers) {
        for (const [index, error] of outcomes.entries()) {
          const pair = [2 * index, 2 * index + 1].map((id) => there.has(`${number}/${id}`));
          expect(pair[0], `rows of one transaction, ${error}`).toBe(pair[1]);
          if (error === '') expect(pair[0], 'acknowledged').toBe(true);
          else if (!UNKNOWN.test(error)) expect(pair[0], error).toBe(false);
        }
      }
      const [[n]] = (await counterSession.sql('SELECT n FROM counters')) as [[number]];
      expect(n).toBeGreaterThanOrEqual(counted.done);
      expect(n).toBeLessThanOrEqual(counted.done + counted.unknown);
    },
  );
});
