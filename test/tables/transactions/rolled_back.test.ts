/** A guest whose memory is put back to an earlier state (a snapshot of QEMU), while the host stays as it is. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { defineTable, t, type Table } from '../../../guest/tables/index.js';
import { connectChannel } from '../../../src/channel/index.js';
import { VamosError } from '../../../src/protocol/errors.js';
import { vamos } from '../../../src/protocol/generated/messages.js';
import type { RpcClient } from '../../../src/rpc/connector/client.js';
import { Double } from '../../rpc/double.js';
import { Place } from '../place.js';
import { inTransaction, Requests } from '../requests.js';
import { SilentGuest } from '../silent_guest.js';

const notes = defineTable({ name: 'notes', columns: { id: t.uint32() }, primaryKey: ['id'] });

type Host = Pick<RpcClient, 'stream'>;

/** Returns the code of a call's failure, or `done`. */
async function code(call: Promise<unknown>): Promise<string> {
  return call.then(
    () => 'done',
    (error: unknown) => (error instanceof VamosError ? error.code : String(error)),
  );
}

describe.each([
  ['what it did since', false],
  ['its commits since and, as one that was restarted, no more', true],
])('a guest whose memory was rolled back, of which the host knows %s', (_, isForgotten) => {
  let place: Place;
  let guest: SilentGuest;
  let table: Table<typeof notes>;

  beforeEach(async () => {
    place = await Place.make('split');
    guest = await SilentGuest.start(place);
    table = await guest.tables.create(notes);
    await table.writeRow({ id: 1 });
  });
  afterEach(async () => {
    await guest.client.close();
    await place[Symbol.asyncDispose]();
  });

  /** Does what the guest did between the snapshot and the rollback to it. */
  async function before(work: (requests: Requests, double: Double) => Promise<void>): Promise<void> {
    const double = await Double.connect(() => connectChannel(place.address), guest, 2, isForgotten);
    const stream = double.stream(guest.stream.id);
    const host: Host = { stream: () => stream };
    await work(new Requests(host as RpcClient, table), double);
    await double.vanish();
  }

  async function ids(): Promise<number[]> {
    const opened = await place.tables.open(notes);
    return (await opened.rndScan().all()).map(({ id }) => id).sort((left, right) => left - right);
  }

  it('has no commit answered as done because another had its number', async () => {
    guest.fallSilent();
    const outcome = code(table.writeRow({ id: 2 }));
    await guest.hasSent(1);
    guest.loseConnection();
    await before(async (requests) => {
      await requests.insert({ id: 100 }, { commitNumber: 2, commitToken: Buffer.from('other') });
    });
    guest.comeBack();
    expect(await outcome).toBe('OUTCOME_UNKNOWN');
    expect(await ids()).toEqual([1, 100]);
  });

  it('has no commit answered as done because later ones were', async () => {
    guest.fallSilent();
    const outcome = code(table.writeRow({ id: 2 }));
    await guest.hasSent(1);
    guest.loseConnection();
    await before(async (requests) => {
      for (const number of [2, 3]) await requests.insert({ id: 100 + number }, { commitNumber: number });
    });
    guest.comeBack();
    expect(await outcome).toBe('OUTCOME_UNKNOWN');
    expect(await ids()).toEqual([1, 102, 103]);
  });

  it('begins another session where its next commit has a number that was used, and goes on in that', async () => {
    const first = Buffer.from(guest.session).toString('hex');
    guest.fallSilent();
    guest.loseConnection();
    await before(async (requests) => {
      for (const number of [2, 3, 4]) await requests.insert({ id: 100 + number }, { commitNumber: number });
    });
    guest.comeBack();
    expect(await code(table.writeRow({ id: 2 }))).toBe('OUTCOME_UNKNOWN');
    await table.writeRow({ id: 2 });
    expect(Buffer.from(guest.session).toString('hex')).not.toBe(first);
    expect(await ids()).toEqual([1, 2, 102, 103, 104]);
  });

  it('does not make again a transaction that it may have made before', async () => {
    guest.fallSilent();
    guest.loseConnection();
    await before(async (_, double) => {
      // Transactions have streams of their own: the next one that the connector opens.
      const stream = double.stream(guest.stream.id + 1);
      const host: Host = { stream: () => stream };
      const requests = new Requests(host as RpcClient, table);
      for (const number of [1, 2]) await requests.insert({ id: 100 + number }, { commitNumber: number });
    });
    guest.comeBack();
    const write = () =>
      guest.tables.transaction((transaction) => transaction.table(table).writeRow({ id: 2 }));
    expect(await code(write())).toBe('OUTCOME_UNKNOWN');
    await write();
    expect(await ids()).toEqual([1, 2, 101, 102]);
  });

  // The numbers of their commits say nothing.
  describe.skipIf(isForgotten)('and that goes by no number', () => {
    it('does not make again a transaction that it may have made before on another stream of its pool', async () => {
      guest.fallSilent();
      guest.loseConnection();
      await before(async (_, double) => {
        const stream = double.stream(guest.stream.id + 5);
        const requests = new Requests({ stream: () => stream } as unknown as RpcClient, table);
        await requests.insert({ id: 100 }, { commitNumber: 1 });
      });
      guest.comeBack();
      const outcome = code(
        guest.tables.transaction((transaction) => transaction.table(table).writeRow({ id: 2 })),
      );
      expect(await outcome).toBe('OUTCOME_UNKNOWN');
      expect(await ids()).toEqual([1, 100]);
    });

    it('prepares no transaction again that it may have prepared before', async () => {
      const requests = new Requests(guest.client, table);
      await requests.begin();
      await requests.insert({ id: 2 }, inTransaction());
      guest.fallSilent();
      const outcome = code(requests.prepare('xid'));
      await guest.hasSent(1);
      guest.loseConnection();
      await before(async (again) => {
        await again.begin();
        await again.insert({ id: 100 }, inTransaction());
        await again.prepare('xid');
        await again.endPrepared('COMMIT', 'xid');
      });
      guest.comeBack();
      expect(await outcome).toBe('SESSION_LOST');
      await guest.tables.list();
      // A later question learns that it may have been done.
      expect(guest.client.renewals).toBe(1);
      expect(await ids()).toEqual([1, 100]);
    });
  });

  it('does not make again a transaction that was open when another stream found the rollback', async () => {
    let runs = 0;
    let goOn = (): void => undefined;
    const mayGoOn = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    let outcome!: Promise<string>;
    await new Promise<void>((hasWritten) => {
      const transaction = guest.tables.transaction(async (open) => {
        runs++;
        await open.table(table).writeRow({ id: 2 });
        hasWritten();
        await mayGoOn;
      });
      outcome = code(transaction);
    });
    guest.fallSilent();
    guest.loseConnection();
    await before(async (requests) => {
      await requests.insert({ id: 100 }, { commitNumber: 2, commitToken: Buffer.from('other') });
    });
    guest.comeBack();
    expect(await code(table.writeRow({ id: 3 }))).toBe('OUTCOME_UNKNOWN');
    goOn();
    expect(await outcome).toBe('OUTCOME_UNKNOWN');
    expect(runs).toBe(1);
    expect(await ids()).toEqual([1, 100]);
  });

  it('does not make again a commit that it had not sent, and may have sent before', async () => {
    guest.fallSilent();
    guest.loseConnection();
    while (guest.client.epoch === 1) await new Promise(setImmediate);
    const outcome = code(table.writeRow({ id: 2 }));
    const double = await Double.connect(() => connectChannel(place.address), guest, 7, isForgotten);
    const stream = double.stream(guest.stream.id);
    const requests = new Requests({ stream: () => stream } as unknown as RpcClient, table);
    await requests.insert({ id: 100 }, { commitNumber: 2, commitToken: Buffer.from('other') });
    guest.comeBack();
    expect(await outcome).toBe('OUTCOME_UNKNOWN');
    expect(await ids()).toEqual([1, 100]);
    await double.vanish();
  });

  it('numbers no row with a value that it reserved before and has used since', async () => {
    const rows = await guest.tables.create(
      defineTable({
        name: 'numbered',
        columns: { id: t.uint32(), note: t.text() },
        primaryKey: ['id'],
        autoIncrement: 'id',
      }),
    );
    const { id } = await rows.writeRow({ note: 'first' });
    guest.fallSilent();
    guest.loseConnection();
    await before(async (_, double) => {
      const stream = double.stream(guest.stream.id);
      const requests = new Requests({ stream: () => stream } as unknown as RpcClient, rows);
      await requests.insert({ id: id + 1, note: 'of the time since' });
    });
    guest.comeBack();
    // The row of a write under way may have the value, and fails with no duplicate key.
    const outcomes = [
      await code(rows.writeRow({ note: 'second' })),
      await code(rows.writeRow({ note: 'third' })),
    ];
    expect(outcomes.filter((outcome) => outcome !== 'SESSION_LOST' && outcome !== 'done')).toEqual([]);
    await rows.writeRow({ note: 'fourth' });
  });

  it('sends no chain whose rows have values that were reserved in the session before', async () => {
    const numbered = {
      columns: { id: t.uint32(), note: t.text() },
      primaryKey: ['id'],
      autoIncrement: 'id',
    } as const;
    const [one, two] = await Promise.all([
      guest.tables.create(defineTable({ name: 'one', ...numbered })),
      guest.tables.create(defineTable({ name: 'two', ...numbered })),
    ]);
    const { id } = await one.writeRow({ note: 'first' });
    guest.fallSilent();
    // There are as many frames as may be in flight, so what comes behind them is not sent.
    const reads: Promise<string>[] = [];
    for (let count = 1; count <= 2; count++) {
      reads.push(code(guest.tables.list()));
      await guest.hasSent(count);
    }
    // The first row gets a value of the range that is there; for the second one a range is asked for.
    const outcome = code(
      guest.tables.chain((chain) => {
        chain.writeRow(one, { note: 'second' });
        chain.writeRow(two, { note: 'second' });
        chain.commit();
      }),
    );
    await new Promise(setImmediate);
    guest.loseConnection();
    await Promise.all(reads);
    await before(async (_, double) => {
      const stream = double.stream(guest.stream.id);
      const requests = new Requests({ stream: () => stream } as unknown as RpcClient, one);
      await requests.insert({ id: id + 1, note: 'of the time since' });
    });
    guest.comeBack();
    // A host that knows more than commits tells the guest what has happened: the chain may have been sent before.
    expect(await outcome).toBe(isForgotten ? 'SESSION_LOST' : 'OUTCOME_UNKNOWN');
    expect((await (await place.tables.open('one')).rndScan().all()).length).toBe(2);
    await one.writeRow({ note: 'third' });
  });

  it('says hello in another session where the host knows it in a later one', async () => {
    const first = Buffer.from(guest.session).toString('hex');
    guest.fallSilent();
    guest.loseConnection();
    const double = await Double.connect(() => connectChannel(place.address), guest, 7, isForgotten);
    const stream = double.stream(9);
    await stream.call(vamos.tables.Method.BEGIN, new Uint8Array());
    guest.comeBack();
    // What was issued before that is known is not done in a session that knows nothing of it.
    expect(await code(table.writeRow({ id: 2 }))).toBe('SESSION_LOST');
    await table.writeRow({ id: 2 });
    expect(Buffer.from(guest.session).toString('hex')).not.toBe(first);
    // What the later stream has open must not serve the earlier one.
    await stream.call(vamos.tables.Method.ROLLBACK, new Uint8Array());
    await double.vanish();
  });
});
