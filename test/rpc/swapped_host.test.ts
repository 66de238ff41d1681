/** A virtio-serial port that leads to another host from one moment to the next, of which nothing tells the guest. */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { connectChannel, listenChannel, type Listener } from '../../src/channel/index.js';
import { ErrorCode } from '../../src/protocol/errors.js';
import { RpcClient } from '../../src/rpc/connector/client.js';
import { RpcServer } from '../../src/rpc/host/server.js';
import { ChardevRelay } from '../channel/chardev_relay.js';
import { LOAD, type LoadReport } from '../client/place.js';
import { bytes, codeOf, Method, Probe, text, until } from './probe.js';

/** A host that serves the probe module behind a relay. */
class TestHost {
  readonly probe = new Probe();
  readonly server = new RpcServer([this.probe]);
  #listener: Listener | undefined;

  async listen(socket: string): Promise<void> {
    this.#listener = await listenChannel(`virtio-serial:${socket}`, (channel) => {
      this.server.accept(channel);
    });
  }

  async close(): Promise<void> {
    await this.#listener?.close();
    await this.server.stop();
  }
}

describe('a port that leads to another host without a word', { timeout: 120_000 }, () => {
  let folder: string;
  let relay: ChardevRelay;
  let former: TestHost;
  let next: TestHost;

  beforeEach(async () => {
    folder = mkdtempSync(path.join(os.tmpdir(), 'vamos-swap-'));
    relay = await ChardevRelay.open(folder);
    [former, next] = [new TestHost(), new TestHost()];
    await former.listen(relay.hostPath);
    await next.listen(relay.nextHostPath);
  });
  afterEach(async () => {
    await Promise.all([former.close(), next.close()]);
    await relay.close();
    rmSync(folder, { recursive: true });
  });

  const port = () => `virtio-serial:${relay.portPath}`;

  it('loses what was under way, with its codes, and a connector in TypeScript goes on there', async () => {
    const client = await RpcClient.connect(() => connectChannel(port()));
    const call = codeOf(client.stream().call(Method.WAIT, bytes('call')));
    const commit = codeOf(client.stream().call(Method.WAIT, bytes('commit'), { isCommit: true }));
    await until(() => former.probe.waitingCount === 2);
    await relay.swapHost();
    // Nothing is sent but pings, since an answer is awaited.
    expect(await call).toBe('SESSION_LOST');
    expect(await commit).toBe('OUTCOME_UNKNOWN');
    expect(text(await client.stream().call(Method.ECHO, bytes('there')))).toBe('there');
    expect(next.probe.started).toContain('3:there');
    await client.close();
  });

  it('tells the next caller that there is no session: it says hello again', async () => {
    const client = await RpcClient.connect(() => connectChannel(port()), { pingIntervalMs: 0 });
    await client.stream().call(Method.ECHO, bytes('here'));
    await relay.swapHost();
    expect(await codeOf(client.stream().call(Method.ECHO, bytes('lost')))).toBe('SESSION_LOST');
    expect(text(await client.stream().call(Method.ECHO, bytes('there')))).toBe('there');
    expect(client.counters.reconnects).toBe(1);
    await client.close();
  });

  it('loses no more than what was under way of a connector in C++, which goes on there', async () => {
    const load = promisify(execFile)(LOAD, [port(), '8', '0', String(Method.ECHO), '100', '0', '0']);
    await until(() => former.server.statistics().requests > 100);
    await relay.swapHost();
    await until(() => next.server.statistics().requests > 100);
    load.child.stdin!.end();
    const report = JSON.parse((await load).stdout) as LoadReport;
    expect(report).toMatchObject({ wrong: 0, reconnects: 1 });
    const codes = Object.keys(report.errors).map((code) => ErrorCode[Number(code)]);
    expect(codes.filter((code) => code !== 'SESSION_LOST')).toEqual([]);
  });
});
