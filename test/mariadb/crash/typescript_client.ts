import { setTimeout as delay } from 'node:timers/promises';
import type { Choices } from '../../../bench/order_entry/random.js';
import { VamosError, type Table, type TableDefinition, type Vamos } from '../../../entry/guest.js';
import type { Tables } from '../../../guest/tables/index.js';
import { DECOY, TABLES, TWIN, tableOf, type Bank } from './bank.js';
import { Client, type Move } from './client.js';

type AnyTable = Table<TableDefinition>;

/** A client that works beside the server, on a stream of a connector of its own kind. */
export class TypescriptClient extends Client {
  readonly #tables: Tables;
  #opened: Map<string, AnyTable> | undefined;
  readonly #shapes: (() => Promise<boolean>)[];

  constructor(number: number, bank: Bank, choices: Choices, vamos: Vamos) {
    super(number, bank, choices);
    this.#tables = vamos.stream().tables;
    this.#shapes = [
      () => this.#event('rows'),
      () => this.#event('chain'),
      () => this.#event('transaction'),
      () => this.#tally(),
      () => this.#transfer({}),
      () => this.#transfer({ retries: 3 }),
      () => this.#transfer({ savepoint: true }),
      () => this.#undone(),
    ];
  }

  async close(): Promise<void> {
    // The connector ends its streams.
    await Promise.resolve();
  }

  protected async turn(): Promise<boolean> {
    try {
      this.#opened ??= await this.#open();
    } catch {
      return false;
    }
    return this.#shapes[this.choices.between(0, this.#shapes.length - 1)]!();
  }

  async #open(): Promise<Map<string, AnyTable>> {
    const opened = new Map<string, AnyTable>();
    for (const name of TABLES) opened.set(name, await this.#tables.open(`test/${name}`));
    return opened;
  }

  #table(name: string): AnyTable {
    return this.#opened!.get(name)!;
  }

  /** Runs a commit, and enters what became of it. */
  async #attempt(id: number, work: () => Promise<unknown>): Promise<boolean> {
    try {
      await work();
      this.bank.book.enter(id, 'done');
      return true;
    } catch (error) {
      if (!(error instanceof VamosError)) throw error;
      const isUnknown = error.code === 'OUTCOME_UNKNOWN';
      this.bank.book.enter(id, isUnknown ? 'unknown' : 'undone', `${error.code}: ${error.message}`);
      return false;
    }
  }

  #event(how: 'rows' | 'chain' | 'transaction'): Promise<boolean> {
    const { id, parts } = this.bank.beginEvent(this.choices.isOneIn(4) ? 'many' : 'few');
    const events = this.#table('events');
    const rows = Array.from({ length: parts }, (_, part) => ({ event: id, part }));
    return this.#attempt(id, () => {
      if (how === 'rows') return events.writeRows(rows);
      if (how === 'transaction') {
        return this.#tables.transaction(async (transaction) => {
          for (const row of rows) await transaction.table(events).writeRow(row);
        });
      }
      return this.#tables.chain((chain) => {
        for (const row of rows) chain.writeRow(events, row);
        chain.commit();
      });
    });
  }

  /** Changes both rows in one transaction: separately, each would be one of its own. */
  async #tally(): Promise<boolean> {
    const tallies = this.#table('tallies');
    const id = this.bank.beginTally(this.number);
    return this.#attempt(id, async () => {
      const rows = await tallies.getMany([{ client: this.number }, { client: this.number + TWIN }]);
      const changes = rows.map((row) => ({
        old: row!,
        changes: { times: Number(row!['times']) + 1, total: Number(row!['total']) + id, last: id },
      }));
      await tallies.updateRows(changes);
    });
  }

  #transfer({ retries = 0, savepoint = false }): Promise<boolean> {
    const move = this.chooseMove();
    const decoy = this.chooseMove();
    const id = this.bank.beginMove();
    return this.#attempt(id, () =>
      this.#tables.transaction(
        async (transaction) => {
          const at = (name: string) => transaction.table(this.#table(name));
          if (savepoint) {
            await transaction.savepoint('before');
            await this.#move(at, DECOY - id, decoy);
            await transaction.rollbackTo('before');
          }
          await this.#move(at, id, move);
        },
        { retries, lockTimeoutMs: 20_000 },
      ),
    );
  }

  async #move(at: (name: string) => AnyTable, id: number, { origin, target, amount }: Move): Promise<void> {
    for (const [account, change] of [
      [origin, -amount],
      [target, amount],
    ] as const) {
      const table = at(tableOf(account));
      const row = (await table.get({ id: account }, { lock: 'exclusive' }))!;
      await table.updateRow(row, {
        balance: Number(row['balance']) + change,
        moves: Number(row['moves']) + 1,
      });
    }
    await at('journal').writeRow({ id, client: this.number, origin, target, amount });
  }

  async #undone(): Promise<boolean> {
    const id = this.bank.beginMove();
    const move = this.chooseMove();
    try {
      await using transaction = this.#tables.begin();
      await this.#move((name) => transaction.table(this.#table(name)), id, move);
      await transaction.rollback();
      this.bank.book.enter(id, 'undone');
      return true;
    } catch (error) {
      if (!(error instanceof VamosError)) throw error;
      this.bank.book.enter(id, 'undone', `${error.code}: ${error.message}`);
      await delay(1);
      return false;
    }
  }
}
