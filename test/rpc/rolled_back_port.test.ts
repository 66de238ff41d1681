/** A connector at a virtio-serial port whose memory was put back to an earlier state. */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Channel } from '../../src/channel/channel.js';
import { connectChannel, listenChannel, type Listener } from '../../src/channel/index.js';
import { createLocalPair } from '../../src/channel/local.js';
import { vamos } from '../../src/protocol/generated/messages.js';
import { RpcClient } from '../../src/rpc/connector/client.js';
import { RpcServer } from '../../src/rpc/host/server.js';
import { ChardevRelay } from '../channel/chardev_relay.js';
import { LOAD, type LoadReport } from '../client/place.js';
import { Double } from './double.js';
import { bytes, Method, Probe, text, until } from './probe.js';

const { HELLO, REQUESTS } = vamos.FrameKind;

describe('a connector at a port whose memory was rolled back', { timeout: 120_000 }, () => {
  let folder: string;
  let relay: ChardevRelay;
  let server: RpcServer;
  let listener: Listener;
  /** What came last from the port. */
  let session: Uint8Array;
  let epoch: number;
  let lastStamp: number;
  /** The host takes no frame from the port, so that no stamp comes behind `lastStamp`. */
  let isDeaf: boolean;

  beforeEach(async () => {
    folder = mkdtempSync(path.join(os.tmpdir(), 'vamos-rolled-back-'));
    relay = await ChardevRelay.open(folder);
    isDeaf = false;
    server = new RpcServer([new Probe()]);
    listener = await listenChannel(`virtio-serial:${relay.hostPath}`, (channel) => {
      watch(channel);
      server.accept(channel);
    });
  });
  afterEach(async () => {
    await listener.close();
    await server.stop();
    await relay.close();
    rmSync(folder, { recursive: true });
  });

  const port = () => `virtio-serial:${relay.portPath}`;

  function watch(channel: Channel): void {
    const setHandlers = channel.setHandlers.bind(channel);
    channel.setHandlers = (handlers) => {
      const onFrame = handlers.onFrame.bind(handlers);
      handlers.onFrame = (kind, body) => {
        if (isDeaf) return;
        if (kind === Number(HELLO)) ({ session, epoch } = vamos.Hello.decode(body));
        if (kind === Number(REQUESTS)) lastStamp = vamos.RequestBatch.decode(body).stamp;
        onFrame(kind, body);
      };
      setHandlers(handlers);
    };
  }

  /** What the guest did between the snapshot and the rollback to it. */
  async function before(): Promise<void> {
    isDeaf = true;
    const open = () => {
      const [guestEnd, hostEnd] = createLocalPair();
      server.accept(hostEnd);
      return Promise.resolve(guestEnd);
    };
    const double = await Double.connect(open, { session, lastStamp }, epoch + 1, false);
    await double.stream(1).call(Method.ECHO, bytes('since'));
    await double.vanish();
    isDeaf = false;
  }

  it('hears that its session is over, and goes on in another one', async () => {
    const client = await RpcClient.connect(() => connectChannel(port()));
    await client.stream().call(Method.ECHO, bytes('snapshot'));
    const first = session;
    await before();
    await until(() => client.renewals === 1);
    expect(text(await client.stream().call(Method.ECHO, bytes('after')))).toBe('after');
    expect(session).not.toEqual(first);
    await client.close();
  });

  it('in C++ hears it, too', async () => {
    const load = promisify(execFile)(LOAD, [port(), '8', '0', String(Method.ECHO), '100', '0', '0']);
    await until(() => server.statistics().requests > 100);
    const first = session;
    await before();
    await until(() => Buffer.compare(session, first) !== 0);
    const { requests } = server.statistics();
    await until(() => server.statistics().requests > requests);
    load.child.stdin!.end();
    expect((JSON.parse((await load).stdout) as LoadReport).wrong).toBe(0);
  });
});
