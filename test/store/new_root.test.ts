import fs, { mkdtempSync, readlinkSync, realpathSync, rmSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openFilesModule } from '../../host/modules/files/module.js';
import { openTablesModule } from '../../host/modules/tables/module.js';

let base: string;
/** Folders whose names were synced, in order. */
let synced: string[];
const { fsyncSync } = fs;

beforeEach(() => {
  base = realpathSync(mkdtempSync(path.join(os.tmpdir(), 'vamos-new-')));
  synced = [];
  fs.fsyncSync = (descriptor) => {
    synced.push(path.relative(base, readlinkSync(`/proc/self/fd/${descriptor}`)));
    fsyncSync(descriptor);
  };
  syncBuiltinESMExports();
});
afterEach(() => {
  fs.fsyncSync = fsyncSync;
  syncBuiltinESMExports();
  rmSync(base, { recursive: true });
});

const open: Record<string, (folder: string) => Promise<{ close(): Promise<void> | void }>> = {
  tables: (folder) => openTablesModule({ path: folder }),
  files: (folder) => openFilesModule({ root: folder }),
};

test.each(['tables', 'files'])(
  'a power loss takes no folder of a new root away: the name of each is synced above, %s',
  async (module) => {
    const folder = path.join(base, 'guests/orders', module);
    await (await open[module]!(folder)).close();
    expect(synced).toEqual(['guests/orders', 'guests', '']);
    await (await open[module]!(folder)).close();
    expect(synced).toHaveLength(3);
  },
);
