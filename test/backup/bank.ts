import { writeFileSync } from 'node:fs';
import { connect, type Vamos } from '../../entry/guest.js';
import { defineTable, t } from '../../guest/tables/index.js';
import { askControl } from '../../host/daemon/control.js';
import type { CheckpointSummary } from '../../host/backup/checkpoint.js';
import { VamosError } from '../../src/protocol/errors.js';
import { Daemon, type Folder, until } from '../../lab/daemon/daemon.js';

export const ACCOUNTS = 100;
export const BALANCE = 1000;

export const accounts = defineTable({
  name: 'accounts',
  columns: { id: t.uint32(), balance: t.int64(), city: t.text() },
  primaryKey: ['id'],
  indexes: { byCity: { columns: ['city'] } },
});

/** A row for each transfer, in the same transaction. */
export const transfers = defineTable({
  name: 'transfers',
  columns: { id: t.uint32(), from: t.uint32(), to: t.uint32(), amount: t.int64() },
  primaryKey: ['id'],
  indexes: { byFrom: { columns: ['from'] } },
});

/** Rows whose values can't be compressed, so that they take room. */
export const heap = defineTable({
  name: 'heap',
  columns: { id: t.uint32(), bytes: t.bytes() },
  primaryKey: ['id'],
});

/** A daemon that serves the guest `bank`, whose root is `root` in the folder. */
export function startDaemon(folder: Folder, root = 'root'): Promise<Daemon> {
  const file = folder.file('host.yaml');
  writeFileSync(
    file,
    `restart: {firstMs: 20, longestMs: 20}\nguests:\n  bank: {root: ${root}, channels: ["${address(folder)}"]}\n`,
  );
  return Daemon.start(folder, ['--config', file]);
}

export function address(folder: Folder): string {
  return `unix:${folder.file('c')}`;
}

export async function makeBank(connector: Vamos): Promise<void> {
  await connector.tables.create(transfers);
  const table = await connector.tables.create(accounts);
  await table.writeRows(
    Array.from({ length: ACCOUNTS }, (_, id) => ({ id, balance: BigInt(BALANCE), city: `city ${id % 7}` })),
  );
}

/** Transfers from several streams, until it is stopped. */
export class Load {
  readonly acknowledged = new Set<number>();
  readonly failures = new Set<string>();
  readonly #streams: Promise<void>[];
  #isStopped = false;
  #next: number;

  constructor(connector: Vamos, { streams = 8, firstId = 1 } = {}) {
    this.#next = firstId;
    this.#streams = Array.from({ length: streams }, () => this.#run(connector));
  }

  async #run(connector: Vamos): Promise<void> {
    const { tables } = connector.stream();
    const [account, transfer] = await Promise.all([tables.open(accounts), tables.open(transfers)]);
    while (!this.#isStopped) {
      const id = this.#next++;
      const from = Math.floor(Math.random() * ACCOUNTS);
      const to = (from + 1 + Math.floor(Math.random() * (ACCOUNTS - 1))) % ACCOUNTS;
      const amount = BigInt(1 + Math.floor(Math.random() * 10));
      try {
        await tables.transaction(async (transaction) => {
          const rows = transaction.table(account);
          // Accounts are taken in one order, so that no two transfers wait for each other.
          for (const number of [from, to].sort((one, other) => one - other)) {
            const row = await rows.get({ id: number }, { lock: 'exclusive' });
            await rows.updateRow(row!, {
              balance: row!.balance + (number === to ? amount : -amount),
              city: `city ${Math.floor(Math.random() * 7)}`,
            });
          }
          await transaction.table(transfer).writeRow({ id, from, to, amount });
        });
        this.acknowledged.add(id);
      } catch (error) {
        this.failures.add(VamosError.from(error).code);
        if (this.#isStopped || !VamosError.from(error).isRetryable) return;
      }
    }
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await Promise.all(this.#streams);
  }
}

/** Reads what stands in a bank: its sum, whether each account is as its transfers say, and the transfers. */
export async function readBank(
  connector: Vamos,
): Promise<{ sum: bigint; wrong: number[]; ids: Set<number> }> {
  const balances = Array.from({ length: ACCOUNTS }, () => BigInt(BALANCE));
  const ids = new Set<number>();
  for await (const { id, from, to, amount } of (await connector.tables.open(transfers)).rndScan()) {
    ids.add(id);
    balances[from]! -= amount;
    balances[to]! += amount;
  }
  let sum = 0n;
  const wrong: number[] = [];
  for await (const { id, balance } of (await connector.tables.open(accounts)).rndScan()) {
    sum += balance;
    if (balance !== balances[id]) wrong.push(id);
  }
  return { sum, wrong, ids };
}

/** Does the same in a root that no daemon serves. */
export async function readRoot(root: string): ReturnType<typeof readBank> {
  await using connector = await connect(`local:${root}`);
  return await readBank(connector);
}

/** Lets another worker open the root: what was in its log is in table files then. */
export async function restartWorker(daemon: Daemon): Promise<void> {
  const { pid } = await daemon.serving('bank');
  process.kill(pid, 'SIGKILL');
  await until(async () => (await daemon.serving('bank')).pid !== pid);
}

/**
 * Asks the daemon as `vamos host checkpoint` does.
 * @throws Error CODE: message
 */
export async function checkpoint(
  daemon: Daemon,
  target: string,
  options: { base?: string; copy?: boolean } = {},
): Promise<CheckpointSummary> {
  try {
    const answer = await askControl(daemon.control, {
      command: 'checkpoint',
      guest: 'bank',
      target,
      ...options,
    });
    return answer as CheckpointSummary;
  } catch (error) {
    const { code, message } = VamosError.from(error);
    throw new Error(`${code}: ${message}`, { cause: error });
  }
}
