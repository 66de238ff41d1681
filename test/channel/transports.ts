import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Channel, Listener } from '../../src/channel/channel.js';
import { connectChannel, listenChannel } from '../../src/channel/index.js';
import { createLocalPair } from '../../src/channel/local.js';
import { vamos } from '../../src/protocol/generated/messages.js';
import { ChardevRelay } from './chardev_relay.js';
import { Recorder } from './recorder.js';

const { HELLO, WELCOME } = vamos.FrameKind;

/** Two connected ends with HELLO and WELCOME exchanged, as any session begins. */
export interface Link {
  connector: Recorder;
  host: Recorder;
  dispose(): Promise<void>;
}

export interface Transport {
  name: string;
  /** A virtio-serial port does not tell the host that the connector closed. */
  hostSeesClose: boolean;
  open(): Promise<Link>;
}

export const localTransport: Transport = {
  name: 'local',
  hostSeesClose: true,
  async open() {
    const [connector, host] = createLocalPair();
    return link(connector, Promise.resolve(host), []);
  },
};

export const unixTransport: Transport = {
  name: 'unix',
  hostSeesClose: true,
  async open() {
    const folder = makeFolder();
    return openListening(`unix:${path.join(folder, 'socket')}`, [() => removeFolder(folder)]);
  },
};

/** Inside a guest: loopback (CID 1). */
export const vsockTransport: Transport = {
  name: 'vsock',
  hostSeesClose: true,
  async open() {
    // The kernel hands out ports of this range only to programs that ask for them.
    const port = 0x10000 + Math.floor(Math.random() * 0x10000000);
    return openListening(`vsock:1:${String(port)}`, []);
  },
};

/** Both ends treat it as a port, and between them stands what QEMU does: the port itself needs a guest. */
export const serialTransport: Transport = {
  name: 'virtio-serial',
  hostSeesClose: false,
  async open() {
    const folder = makeFolder();
    const relay = await ChardevRelay.open(folder);
    let accepted: (channel: Channel) => void;
    const host = new Promise<Channel>((resolve) => (accepted = resolve));
    const listener = await listenChannel(`virtio-serial:${relay.hostPath}`, (channel) => {
      accepted(channel);
    });
    const connector = await connectChannel(`virtio-serial:${relay.portPath}`);
    return link(connector, host, [() => listener.close(), () => relay.close(), () => removeFolder(folder)]);
  },
};

export function makeFolder(): string {
  return mkdtempSync(path.join(tmpdir(), 'vamos-channel-'));
}

export function removeFolder(folder: string): void {
  rmSync(folder, { recursive: true, force: true });
}

async function openListening(address: string, cleanup: (() => unknown)[]): Promise<Link> {
  let accepted: (channel: Channel) => void;
  const host = new Promise<Channel>((resolve) => (accepted = resolve));
  const listener: Listener = await listenChannel(address, (channel) => {
    accepted(channel);
  });
  const connector = await connectChannel(address);
  return link(connector, host, [() => listener.close(), ...cleanup]);
}

async function link(
  connectorEnd: Channel,
  hostEnd: Promise<Channel>,
  cleanup: (() => unknown)[],
): Promise<Link> {
  const connector = new Recorder(connectorEnd);
  connectorEnd.send(HELLO, new Uint8Array(16));
  const host = new Recorder(await hostEnd);
  await host.take(1);
  host.channel.send(WELCOME, new Uint8Array(16));
  await connector.take(1);
  return {
    connector,
    host,
    async dispose() {
      connectorEnd.destroy();
      host.channel.destroy();
      for (const step of cleanup) await step();
    },
  };
}
