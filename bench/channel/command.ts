import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { type Command, Option } from 'commander';
import type { Channel } from '../../src/channel/channel.js';
import { connectChannel } from '../../src/channel/index.js';
import { createLocalPair } from '../../src/channel/local.js';
import { EchoHost } from './echo.js';
import { measureInGuest } from './guest.js';
import { type ChannelRow, measureChannel, measureFigures } from './measure.js';
import { formatTable } from './table.js';

const HELP = `
Round trips of 64 bytes, with 1, 16 and 256 requests in flight, with VAMOS's rpc and with a bare echo of single frames over
the same kind of socket. The other end of 'unix' is a process of its own; 'virtio-serial' runs in a real guest.`;

const TRANSPORTS = ['local', 'unix', 'virtio-serial'] as const;
type Transport = (typeof TRANSPORTS)[number];

interface ChannelOptions {
  json?: string;
  transport?: Transport[];
}

export function register(program: Command): void {
  program
    .command('channel')
    .description('round trips a second and requests a frame of each transport')
    .option('--json <file>', 'write the figures to a file')
    .addOption(new Option('--transport <names...>', 'only these').choices(TRANSPORTS))
    .addHelpText('after', HELP)
    .action(run);
}

async function run(options: ChannelOptions): Promise<void> {
  const rows: ChannelRow[] = [];
  const missing: string[] = [];
  for (const transport of options.transport ?? TRANSPORTS) {
    try {
      rows.push(...(await MEASURES[transport](showProgress)));
    } catch (error) {
      // Without a VM the other rows are still of use; but a transport that was asked for by name must not be
      // passed over.
      if (transport !== 'virtio-serial' || options.transport) throw error;
      missing.push(`${transport}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  showProgress('');
  console.log(formatTable(rows));
  for (const line of missing) console.log(`not measured: ${line}`);
  if (options.json === undefined) return;
  const machine = {
    cpu: os.cpus()[0]?.model,
    cpus: os.cpus().length,
    kernel: os.release(),
    node: process.version,
  };
  await writeFile(options.json, `${JSON.stringify({ machine, rows, missing }, undefined, 2)}\n`);
}

function showProgress(message: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${message}`);
  else if (message !== '') process.stderr.write(`${message}\n`);
}

const MEASURES: Record<Transport, (onProgress: (message: string) => void) => Promise<ChannelRow[]>> = {
  async local(onProgress) {
    const host = new EchoHost();
    const open = (): Promise<Channel> => {
      const [guestEnd, hostEnd] = createLocalPair();
      host.accept(hostEnd);
      return Promise.resolve(guestEnd);
    };
    const measure = measureChannel(
      'local',
      (name, inFlight) => measureFigures(open, name, inFlight),
      onProgress,
    );
    const rows = await measure;
    await host.stop();
    return rows;
  },

  async unix(onProgress) {
    const folder = await mkdtemp(path.join(os.tmpdir(), 'vamos-bench-'));
    const address = `unix:${path.join(folder, 'socket')}`;
    const host = await startHost(address);
    try {
      const open = (): Promise<Channel> => connectChannel(address);
      return await measureChannel(
        'unix',
        (name, inFlight) => measureFigures(open, name, inFlight),
        onProgress,
      );
    } finally {
      host.disconnect();
      await once(host, 'exit');
      await rm(folder, { recursive: true });
    }
  },

  'virtio-serial': (onProgress) => measureInGuest(startHost, onProgress),
};

async function startHost(address: string): Promise<ChildProcess> {
  const host = fork(path.join(import.meta.dirname, 'echo_host.js'), [address]);
  const [event] = (await Promise.race([once(host, 'message'), once(host, 'exit')])) as [unknown];
  if (event !== 'serving') throw new Error(`the host end of ${address} ended with ${String(event)}`);
  return host;
}
