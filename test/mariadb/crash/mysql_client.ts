import { setTimeout as delay } from 'node:timers/promises';
import type mysql from 'mysql2/promise';
import type { Choices } from '../../../bench/order_entry/random.js';
import { DECOY, TWIN, tableOf, type Bank } from './bank.js';
import { Client, type Move } from './client.js';

/** Errors after which the client can't know whether its commit was done. */
const LOST = ['PROTOCOL_CONNECTION_LOST', 'ECONNRESET', 'EPIPE'];
const UNKNOWN = [...LOST, 'ER_ERROR_DURING_COMMIT'];
/** The engine's error for it: 2000 and the code OUTCOME_UNKNOWN. */
const UNKNOWN_MESSAGE = /Got (temporary )?error 2044 /;

/** What a client of this kind does besides, where the place allows it. */
export interface MysqlWork {
  engine: string;
  /** Transactions by two-phase commit, of which the client is the coordinator. */
  xa: boolean;
}

/** A transaction under way. */
interface Attempt {
  id: number;
  /** open: a failure undoes it. committing: it may be done. preparing, prepared: the client decides on it later. */
  phase: 'open' | 'committing' | 'preparing' | 'prepared';
  /** The transaction is undone on purpose. */
  isRolledBack?: boolean;
}

type Shape = (connection: mysql.Connection) => Promise<Attempt>;

/** A client of the server: a connection, made again when it is lost, and statements of all shapes. */
export class MysqlClient extends Client {
  #connection: mysql.Connection | undefined;
  #isFirst = true;
  #attempt: Attempt | undefined;
  readonly #shapes: Shape[];

  constructor(
    number: number,
    bank: Bank,
    choices: Choices,
    private readonly connect: () => Promise<mysql.Connection>,
    private readonly mayDo: MysqlWork,
  ) {
    super(number, bank, choices);
    this.#shapes = [
      (connection) => this.#event(connection),
      (connection) => this.#tally(connection),
      (connection) => this.#transfer(connection, { locksFirst: true }),
      (connection) => this.#transfer(connection, {}),
      (connection) => this.#transfer(connection, { inOneTable: true }),
      (connection) => this.#transfer(connection, { savepoint: true, locksFirst: true }),
      (connection) => this.#undone(connection),
    ];
    if (mayDo.xa) this.#shapes.push((connection) => this.#twoPhases(connection));
  }

  async close(): Promise<void> {
    this.#connection?.destroy();
    await Promise.resolve();
  }

  protected async turn(): Promise<boolean> {
    const connection = await this.#connected();
    if (!connection) return false;
    const shape = this.#shapes[this.choices.between(0, this.#shapes.length - 1)]!;
    this.#attempt = undefined;
    try {
      const { id, isRolledBack } = await shape(connection);
      this.bank.book.enter(id, isRolledBack ? 'undone' : 'done');
      return true;
    } catch (error) {
      await this.#failed(error as mysql.QueryError);
      return false;
    }
  }

  async #connected(): Promise<mysql.Connection | undefined> {
    if (this.#connection) return this.#connection;
    try {
      const connection = await this.connect();
      if (this.mayDo.engine === 'VAMOS') {
        // With it, changes are made by the host; without it, by the server, row by row.
        const pushdown = this.choices.isOneIn(2) ? 'ON' : 'OFF';
        await connection.query(
          `SET SESSION vamos_pushdown = ${pushdown}, SESSION vamos_lock_wait_timeout = 20`,
        );
      }
      if (!this.#isFirst) this.bank.book.counts.reconnects++;
      this.#isFirst = false;
      this.#connection = connection;
      return connection;
    } catch {
      return undefined;
    }
  }

  /** Enters what the failure says about the transaction under way. */
  async #failed(error: mysql.QueryError): Promise<void> {
    const { code, message, fatal } = error;
    const isLost = fatal || LOST.includes(code);
    if (isLost) {
      this.#connection?.destroy();
      this.#connection = undefined;
    }
    const attempt = this.#attempt;
    // This is a fault of the test itself.
    if (!attempt) throw error;
    const isUnknown = isLost || UNKNOWN.includes(code) || UNKNOWN_MESSAGE.test(message);
    if (attempt.phase === 'prepared' || attempt.phase === 'preparing') {
      const isDone = attempt.phase === 'prepared';
      await this.#decide(attempt.id, isDone ? 'COMMIT' : 'ROLLBACK');
      this.bank.book.enter(attempt.id, isDone ? 'done' : 'undone', message);
    } else {
      this.bank.book.enter(
        attempt.id,
        attempt.phase === 'committing' && isUnknown ? 'unknown' : 'undone',
        message,
      );
    }
    // Some errors leave the transaction open.
    if (this.mayDo.xa && !isLost) await this.#end(`XA END '${attempt.id}'`, `XA ROLLBACK '${attempt.id}'`);
    if (!isLost) await this.#end('ROLLBACK');
  }

  /** Runs statements that may be refused, since there may be nothing to end. */
  async #end(...statements: string[]): Promise<void> {
    for (const statement of statements) await this.#connection?.query(statement).catch(() => undefined);
  }

  /**
   * Does the coordinator's part after a failure: ends a transaction that may be prepared, however long that
   * takes.
   */
  async #decide(id: number, how: 'COMMIT' | 'ROLLBACK'): Promise<void> {
    for (;;) {
      const connection = await this.#connected();
      try {
        if (connection) {
          // The server knows all prepared transactions once it has reached its host.
          await connection.query('SELECT COUNT(*) FROM tallies');
          const [rows] = await connection.query<mysql.RowDataPacket[]>('XA RECOVER');
          if (!rows.some((row) => String(row['data']) === String(id))) return;
          await connection.query(`XA ${how} '${id}'`);
        }
      } catch (error) {
        // It belongs to another connection until the server has seen that this one is gone.
        if ((error as mysql.QueryError).fatal || LOST.includes((error as mysql.QueryError).code)) {
          this.#connection?.destroy();
          this.#connection = undefined;
        }
      }
      await delay(20);
    }
  }

  #begin(id: number, phase: Attempt['phase']): Attempt {
    this.#attempt = { id, phase };
    return this.#attempt;
  }

  /** Inserts several rows in a transaction of its own. */
  async #event(connection: mysql.Connection): Promise<Attempt> {
    const { id, parts } = this.bank.beginEvent(this.choices.isOneIn(4) ? 'many' : 'few');
    const attempt = this.#begin(id, 'committing');
    const rows = Array.from({ length: parts }, (_, part) => `(${id}, ${part})`).join(', ');
    const isSelected = this.choices.isOneIn(3);
    await connection.query(
      isSelected
        ? `INSERT INTO events SELECT ${id}, seq FROM seq_0_to_${parts - 1}`
        : `INSERT INTO events VALUES ${rows}`,
    );
    return attempt;
  }

  /** Changes two rows in a transaction of its own, in a way that is wrong if it is done twice. */
  async #tally(connection: mysql.Connection): Promise<Attempt> {
    const isUpsert = this.choices.isOneIn(3);
    const attempt = this.#begin(this.bank.beginTally(this.number), 'committing');
    const changes = `times = times + 1, total = total + ${attempt.id}, last = ${attempt.id}`;
    const [one, twin] = [this.number, this.number + TWIN];
    await connection.query(
      isUpsert
        ? `INSERT INTO tallies VALUES (${one}, 0, 0, 0), (${twin}, 0, 0, 0) ON DUPLICATE KEY UPDATE ${changes}`
        : `UPDATE tallies SET ${changes} WHERE client IN (${one}, ${twin})`,
    );
    return attempt;
  }

  async #transfer(
    connection: mysql.Connection,
    options: { locksFirst?: boolean; inOneTable?: boolean; savepoint?: boolean },
  ): Promise<Attempt> {
    const move = options.inOneTable ? this.chooseMoveInTable() : this.chooseMove();
    const attempt = this.#begin(this.bank.beginMove(), 'open');
    await connection.query('START TRANSACTION');
    if (options.savepoint) {
      await connection.query('SAVEPOINT unmoved');
      await this.#move(connection, DECOY - attempt.id, this.chooseMove());
      await connection.query('ROLLBACK TO SAVEPOINT unmoved');
    }
    if (options.locksFirst) {
      for (const account of [move.origin, move.target].sort((a, b) => a - b)) {
        await connection.query(`SELECT * FROM ${tableOf(account)} WHERE id = ? FOR UPDATE`, [account]);
      }
    }
    await this.#move(connection, attempt.id, move);
    attempt.phase = 'committing';
    await connection.query('COMMIT');
    return attempt;
  }

  /** Moves the money and writes it down. */
  async #move(connection: mysql.Connection, id: number, { origin, target, amount }: Move): Promise<void> {
    const update = (account: number, change: number) =>
      connection.query(
        `UPDATE ${tableOf(account)} SET balance = balance + ?, moves = moves + 1 WHERE id = ?`,
        [change, account],
      );
    await update(origin, -amount);
    await update(target, amount);
    await connection.query('INSERT INTO journal VALUES (?, ?, ?, ?, ?)', [
      id,
      this.number,
      origin,
      target,
      amount,
    ]);
  }

  async #undone(connection: mysql.Connection): Promise<Attempt> {
    const attempt = this.#begin(this.bank.beginMove(), 'open');
    await connection.query('START TRANSACTION');
    await this.#move(connection, attempt.id, this.chooseMove());
    attempt.isRolledBack = true;
    await connection.query('ROLLBACK');
    return attempt;
  }

  async #twoPhases(connection: mysql.Connection): Promise<Attempt> {
    const attempt = this.#begin(this.bank.beginMove(), 'open');
    const xid = `'${attempt.id}'`;
    await connection.query(`XA START ${xid}`);
    await this.#move(connection, attempt.id, this.chooseMove());
    await connection.query(`XA END ${xid}`);
    if (this.choices.isOneIn(4)) {
      attempt.phase = 'committing';
      await connection.query(`XA COMMIT ${xid} ONE PHASE`);
      return attempt;
    }
    attempt.phase = 'preparing';
    await connection.query(`XA PREPARE ${xid}`);
    if (this.choices.isOneIn(5)) {
      attempt.isRolledBack = true;
      await connection.query(`XA ROLLBACK ${xid}`);
      return attempt;
    }
    attempt.phase = 'prepared';
    await connection.query(`XA COMMIT ${xid}`);
    return attempt;
  }
}
