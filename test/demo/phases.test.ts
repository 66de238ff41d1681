import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Checksum, LINES, ORDERS } from '../../bench/demo/orders.js';
import { PHASES, QUICK, type Session } from '../../bench/demo/phases.js';
import { connect } from '../../entry/guest.js';
import { openFilesModule } from '../../host/modules/files/module.js';
import { openTablesModule } from '../../host/modules/tables/module.js';
import { listenChannel } from '../../src/channel/index.js';
import { RpcServer } from '../../src/rpc/host/server.js';

/** The file that was written is the file that is read. */
const SAME_FILE = 1;

let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(path.join(os.tmpdir(), 'vamos-phases-'));
});

afterEach(async () => {
  await rm(directory, { recursive: true, force: true });
});

/** Runs all operations one after another; returns their checksums by name. */
async function runAll(address: string): Promise<Record<string, string>> {
  await using vamos = await connect(address);
  const session: Session = {
    vamos,
    orders: await vamos.tables.create(ORDERS),
    lines: await vamos.tables.create(LINES),
    scale: QUICK,
  };
  const checksums: Record<string, string> = {};
  for (const phase of PHASES) {
    const checksum = new Checksum();
    expect(await phase.run(session, checksum), phase.name).toBeGreaterThan(0);
    await phase.verify?.(session, checksum);
    checksums[phase.name] = checksum.digest();
  }
  return checksums;
}

test("the demo's operations give the same results over a socket as in one process", async () => {
  const root = path.join(directory, 'split');
  const modules = [
    await openTablesModule({ path: path.join(root, 'tables') }),
    await openFilesModule({ root: path.join(root, 'files') }),
  ];
  const server = new RpcServer(modules);
  const address = `unix:${path.join(directory, 'channel.sock')}`;
  const listener = await listenChannel(address, (channel) => {
    server.accept(channel);
  });
  let split: Record<string, string>;
  try {
    split = await runAll(address);
  } finally {
    await listener.close();
    await server.stop();
  }
  const unsplit = await runAll(`local:${path.join(directory, 'unsplit')}`);
  expect(split).toEqual(unsplit);
  for (const read of ['point read', 'index range of 200 rows', 'full scan', 'file read of 1 MiB']) {
    expect(unsplit[`${read}, cold`], read).toBe(unsplit[`${read}, warm`]);
  }
  expect(new Set(Object.values(unsplit)).size).toBe(PHASES.length - 4 - SAME_FILE);
});
