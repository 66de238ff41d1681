/** Settings of the plugin that another end has to agree with: the token, and how durable a commit is. */
import { writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Folder } from '../../lab/daemon/daemon.js';
import { Host } from '../../lab/mariadb/host.js';
import { MariadbServer } from '../../lab/mariadb/server.js';
import { Session } from '../../lab/mariadb/session.js';

const TABLE = 'CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, v INT) ENGINE=VAMOS';

describe('a host that asks for a token', () => {
  let folder: Folder;
  let host: Host;

  beforeEach(async () => {
    folder = new Folder();
    host = new Host(folder, {}, 'open sesame');
    await host.start();
  });
  afterEach(async () => {
    await host[Symbol.asyncDispose]();
    folder[Symbol.dispose]();
  });

  async function startWith(token: string): Promise<MariadbServer> {
    const file = folder.file('token');
    writeFileSync(file, `${token}\n`);
    return MariadbServer.start({ host, args: [`--vamos-token-file=${file}`] });
  }

  test('serves a server whose file has it', async () => {
    await using server = await startWith('open sesame');
    await using session = await Session.open(server);
    await session.sql(TABLE, 'INSERT INTO t (v) VALUES (1)');
    expect(await session.count()).toBe(1);
  });

  test('refuses another one, and the statement says what helps', async () => {
    await using server = await startWith('open barley');
    await using session = await Session.open(server);
    expect((await session.refusal(TABLE)).message).toMatch(/token/i);
  });

  test('a file without a token leaves the engine out, and the log says why', async () => {
    const args = [`--vamos-token-file=${folder.file('no such file')}`];
    await expect(MariadbServer.start({ host, args })).rejects.toThrow(/vamos_token_file: no first line/);
  });
});

describe('vamos_durability', () => {
  const COMMITS = 20;
  let server: MariadbServer;

  beforeEach(async () => {
    server = await MariadbServer.start();
  });
  afterEach(() => server[Symbol.asyncDispose]());

  /** Syncs of the host's log for so many commits that say how durable they are. */
  async function syncsOf(durability: string): Promise<number> {
    await using session = await Session.open(server, `vamos_durability = ${durability}`);
    const before = await server.host!.counters();
    for (let commit = 0; commit < COMMITS; commit++) await session.sql('INSERT INTO t (v) VALUES (1)');
    const after = await server.host!.counters();
    expect(after.commits! - before.commits!).toBeGreaterThanOrEqual(COMMITS);
    return after.syncs! - before.syncs!;
  }

  test('decides whether a commit waits for the disk', async () => {
    await using session = await Session.open(server);
    await session.sql(TABLE);
    expect(await syncsOf('synced')).toBeGreaterThanOrEqual(COMMITS);
    expect(await syncsOf('written')).toBeLessThan(COMMITS);
    expect(await syncsOf('memory')).toBeLessThan(COMMITS);
    expect(await session.count()).toBe(3 * COMMITS);
  });

  test('written: what was acknowledged outlives a kill of the worker', async () => {
    await using session = await Session.open(server, 'vamos_durability = written');
    await session.sql(TABLE);
    for (let commit = 0; commit < COMMITS; commit++) await session.sql('INSERT INTO t (v) VALUES (1)');
    await server.host!.killWorker();
    expect(await session.count()).toBe(COMMITS);
  });
});
