import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { connect, defineTable, t } from '../../entry/guest.js';
import { createLocalPair } from '../../src/channel/local.js';
import { VamosError } from '../../src/protocol/errors.js';
import { RpcClient } from '../../src/rpc/connector/client.js';
import { codeOf } from './probe.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'vamos-connect-'));
});
afterAll(async () => {
  await rm(folder, { recursive: true });
});

const orders = defineTable({
  name: 'orders',
  columns: { id: t.uint32(), item: t.text() },
  primaryKey: ['id'],
});

test('what a local connection wrote is there when the directory is opened again', async () => {
  const address = `local:${path.join(folder, 'kept')}`;
  {
    await using vamos = await connect(address);
    const table = await vamos.tables.create(orders);
    await table.writeRow({ id: 1, item: 'tea' });
    await vamos.files.writeFile('log.txt', 'one order\n');
  }
  await using vamos = await connect(address);
  expect(await vamos.tables.list()).toEqual(['orders']);
  expect(String(await vamos.files.readFile('log.txt'))).toBe('one order\n');
});

test('a directory is open once a process', async () => {
  const address = `local:${path.join(folder, 'once')}`;
  const vamos = await connect(address);
  expect(await codeOf(connect(address))).toBe('ROOT_IN_USE');
  await vamos.close();
  await (await connect(address)).close();
});

test('closing a stream leaves the others alone', async () => {
  await using vamos = await connect(`local:${path.join(folder, 'streams')}`);
  const stream = vamos.stream();
  const table = await stream.tables.create(orders);
  await table.writeRow({ id: 1, item: 'tea' });
  await stream.close();
  expect(await vamos.tables.list()).toEqual(['orders']);
});

test('an address that leads nowhere is refused immediately or when time is up', async () => {
  expect(await codeOf(connect('carrier-pigeon:coo'))).toBe('BAD_ADDRESS');
  const absent = `unix:${path.join(folder, 'nobody')}`;
  expect(await codeOf(connect(absent, { connectTimeoutMs: 50 }))).toBe('CHANNEL_ABSENT');
});

test('a last try that has no time left to be answered does not hide why the ones before it failed', async () => {
  const connectTimeoutMs = 100;
  let tries = 0;
  const open = async () => {
    if (++tries === 1) throw new VamosError('CHANNEL_ABSENT', 'nothing is there yet');
    await delay(connectTimeoutMs);
    return createLocalPair()[0];
  };
  expect(await codeOf(RpcClient.connect(open, { connectTimeoutMs }))).toBe('CHANNEL_ABSENT');
  expect(tries).toBe(2);
});
