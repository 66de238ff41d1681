import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { Worker } from 'node:worker_threads';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { packageRoot } from '../../src/native.js';

// In a worker thread: an open store, one transaction that holds a row, one that waits for it, records on their way to
// the disk. Then the thread ends in the way that `ending` says.
const program = (ending: string) => `
  const { parentPort, workerData } = require('node:worker_threads');
  const store = require(workerData.addon).openStore(
    { path: workerData.path, blockCacheBytes: 1 << 20, maxTransactionBytes: 1 << 20, threads: 2 }, () => {});
  store.defineTable({ isNew: false, table: 1, indexes: [{ space: 1, isUnique: true, parts: [] }], columns: [] });
  const keys = Buffer.from([4, 0, 0, 0, 1, 2, 3, 4]);
  const [holder, waiter] = [store.begin(0, false, false), store.begin(0, false, false)];
  store.get(holder, 1, 0, keys, 2, 0, [], false);
  if (typeof store.get(waiter, 1, 0, keys, 2, 0, [], false) !== 'number') throw new Error('it did not wait');
  for (let i = 0; i < 20; i++) store.putRecords([{ key: 'key' + i, value: Buffer.alloc(1000) }], true);
  ${ending}`;

const endings = {
  'with the store open': `process.exit(0);`,
  'while the store closes': `store.close(); setTimeout(() => process.exit(0), 1);`,
  'after the store closed': `store.close();`,
  'terminated from outside': `setInterval(() => {}, 1000); parentPort.postMessage('ready');`,
};

describe('a worker thread that ends takes its store along', () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(path.join(os.tmpdir(), 'vamos-end-'));
  });
  afterEach(async () => {
    await rm(directory, { recursive: true });
  });

  for (const [name, ending] of Object.entries(endings)) {
    it(name, async () => {
      // It runs twice on one root: the first round leaves no lock behind.
      for (let round = 0; round < 2; round++) {
        const worker = new Worker(program(ending), {
          eval: true,
          workerData: { path: directory, addon: path.join(packageRoot, 'build/native/vamos_store.node') },
        });
        worker.on('message', () => void worker.terminate());
        const failure = await new Promise((resolve) => {
          worker.on('error', resolve);
          worker.on('exit', () => {
            resolve(undefined);
          });
        });
        expect(failure).toBeUndefined();
      }
    });
  }
});
