import { expect, test } from 'vitest';
import { connect } from '../../entry/guest.js';
import { Tables } from '../../guest/tables/index.js';
import { openLocal, whenReleased } from '../../host/local.js';
import { connectChannel } from '../../src/channel/index.js';
import { RpcClient } from '../../src/rpc/connector/client.js';
import { Folder, vamos } from '../../lab/daemon/daemon.js';
import { inTransaction, Requests } from '../tables/requests.js';
import { accounts, address, makeBank, readRoot, startDaemon } from './bank.js';

test('a clone is a root of its own, in which nothing that was prepared in the original waits', async () => {
  using folder = new Folder();
  await using daemon = await startDaemon(folder);
  await using connector = await connect(address(folder));
  await makeBank(connector);
  const client = await RpcClient.connect(() => connectChannel(address(folder)));
  const table = await new Tables(client, client.stream()).open(accounts);
  const requests = new Requests(client, table);
  await requests.begin();
  await requests.insert({ id: 1000, balance: 1n, city: 'x' }, inTransaction());
  await requests.prepare('an xid');

  const run = await vamos(
    ...['host', 'clone', 'bank', folder.file('clone'), '--control', daemon.control, '--json'],
  );
  expect(run).toMatchObject({ code: 0 });
  expect(JSON.parse(run.stdout)).toMatchObject({ rolledBack: 1 });
  const kept = await vamos(
    ...['host', 'clone', 'bank', folder.file('kept'), '--keep-prepared', '--control', daemon.control],
  );
  expect(kept).toMatchObject({ code: 0 });

  // Whatever the clones do, the original doesn't see.
  expect(await preparedIn(folder.file('kept'))).toEqual(['an xid']);
  expect(await preparedIn(folder.file('clone'))).toEqual([]);
  {
    await using clone = await connect(`local:${folder.file('clone')}`);
    const cloned = await clone.tables.open(accounts);
    await cloned.writeRow({ id: 1000, balance: 5n, city: 'clone' });
    await clone.tables.drop('transfers');
  }
  expect(await requests.listPrepared()).toEqual(['an xid']);
  await requests.endPrepared('COMMIT', 'an xid');
  expect((await table.get({ id: 1000 }))!.balance).toBe(1n);
  await client.close();
  expect((await readRoot(folder.file('kept'))).wrong).toEqual([]);
});

async function preparedIn(root: string): Promise<string[]> {
  const client = await RpcClient.connect(() => openLocal(root));
  const table = await new Tables(client, client.stream()).open(accounts);
  const prepared = await new Requests(client, table).listPrepared();
  await client.close();
  await whenReleased(root);
  return prepared;
}
