/**
 * Measures one channel from its connector's end. By itself, for a guest:
 *
 *     node dist/bench/channel/measure.js virtio-serial:NAME rpc 16
 *
 * prints Figures as one line of JSON.
 */
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import type Benchmark from 'benchmark';
import type { Channel, ChannelCounters } from '../../src/channel/channel.js';
import { connectChannel } from '../../src/channel/index.js';
import { RpcClient } from '../../src/rpc/connector/client.js';
import type { RpcStream } from '../../src/rpc/contract.js';
import { BareEcho, ECHO_METHOD } from './echo.js';

const BODY = new Uint8Array(64);
const MAX_SECONDS = 1.5;

export const IN_FLIGHT = [1, 16, 256];
export const SUBJECTS = ['bare', 'rpc'] as const;
/** What is measured: the channel alone with one frame a request, or VAMOS's rpc over it. */
export type SubjectName = (typeof SUBJECTS)[number];

export interface Figures {
  roundTripsPerSecond: number;
  /** The margin of error of the above in percent, at 95 % confidence. */
  marginPercent: number;
  /** All requests that were made, including the warm-up. */
  requests: number;
  requestsPerFrame: number;
  /** System calls of the connector's end; local: has none. */
  writeCallsPerRequest: number;
  readCallsPerRequest: number;
  /** In a guest: kicks and interrupts of the channel's device. */
  kicksPerRequest?: number;
  interruptsPerRequest?: number;
}

export interface ChannelRow {
  transport: string;
  /** Requests that are under way simultaneously, each of a stream of its own. */
  inFlight: number;
  rpc: Figures;
  bare: Figures;
}

/** A subject that makes round trips and counts what they cost. */
interface Subject {
  /** Makes one request after the other on that many streams, `rounds` on each. */
  run(inFlight: number, rounds: number): Promise<void>;
  requests(): number;
  requestFrames(): number;
  channel(): Readonly<ChannelCounters>;
  close(): Promise<void>;
}

/** Measures all rows of a transport. */
export async function measureChannel(
  transport: string,
  measure: (name: SubjectName, inFlight: number) => Promise<Figures>,
  onProgress: (message: string) => void,
): Promise<ChannelRow[]> {
  const rows: ChannelRow[] = [];
  for (const inFlight of IN_FLIGHT) {
    onProgress(`${transport}, ${inFlight} in flight: bare echo`);
    const bare = await measure('bare', inFlight);
    onProgress(`${transport}, ${inFlight} in flight: rpc`);
    rows.push({ transport, inFlight, bare, rpc: await measure('rpc', inFlight) });
  }
  return rows;
}

/**
 * Measures round trips of 64 bytes over a channel of its own.
 * @param modules a folder whose node_modules holds `benchmark`, where it is not installed beside this file
 */
export async function measureFigures(
  open: () => Promise<Channel>,
  name: SubjectName,
  inFlight: number,
  modules?: string,
): Promise<Figures> {
  const subject =
    name === 'rpc' ? rpcSubject(await RpcClient.connect(open)) : bareSubject(await BareEcho.open(open));
  const rounds = Math.max(4, 64 / inFlight);
  const work = (): Promise<void> => subject.run(inFlight, rounds);
  await work();
  const { hz, stats } = await runSuite(work, modules);
  const requests = subject.requests();
  const { writeCalls, readCalls } = subject.channel();
  const figures = {
    roundTripsPerSecond: hz * inFlight * rounds,
    marginPercent: stats.rme,
    requests,
    requestsPerFrame: requests / subject.requestFrames(),
    writeCallsPerRequest: writeCalls / requests,
    readCallsPerRequest: readCalls / requests,
  };
  await subject.close();
  return figures;
}

function rpcSubject(client: RpcClient): Subject {
  const streams: RpcStream[] = [];
  return {
    async run(inFlight, rounds) {
      while (streams.length < inFlight) streams.push(client.stream());
      await Promise.all(
        streams.map(async (stream) => {
          for (let round = 0; round < rounds; round++) await stream.call(ECHO_METHOD, BODY);
        }),
      );
    },
    requests: () => client.counters.requests,
    requestFrames: () => client.counters.requestFrames,
    channel: () => client.counters,
    close: () => client.close(),
  };
}

function bareSubject(echo: BareEcho): Subject {
  let requests = 0;
  return {
    async run(inFlight, rounds) {
      requests += inFlight * rounds;
      await Promise.all(
        Array.from({ length: inFlight }, async () => {
          for (let round = 0; round < rounds; round++) await echo.roundTrip(BODY);
        }),
      );
    },
    requests: () => requests,
    requestFrames: () => requests,
    channel: () => echo.channel.counters,
    close: () => echo.close(),
  };
}

/** Runs `work` as the only test of a suite; resolves to its figures. */
function runSuite(work: () => Promise<void>, modules: string | undefined): Promise<Benchmark> {
  const require = createRequire(modules === undefined ? import.meta.url : pathToFileURL(`${modules}/`));
  const { Suite } = require('benchmark') as typeof Benchmark;
  return new Promise((resolve, reject) => {
    new Suite()
      .add('round trips', {
        defer: true,
        maxTime: MAX_SECONDS,
        fn: (deferred: { resolve(): void }) => {
          work().then(() => {
            deferred.resolve();
          }, reject);
        },
      })
      .on('cycle', (event: Benchmark.Event) => {
        const target = event.target as unknown as Benchmark & { error?: Error };
        if (target.error) reject(target.error);
        else resolve(target);
      })
      .run();
  });
}

async function main([address, name, inFlight, modules]: string[]): Promise<void> {
  if (address === undefined || !SUBJECTS.some((known) => known === name)) {
    throw new Error('usage: measure.js ADDRESS bare|rpc IN-FLIGHT [FOLDER OF node_modules]');
  }
  const open = (): Promise<Channel> => connectChannel(address);
  const figures = await measureFigures(open, name as SubjectName, Number(inFlight), modules);
  process.stdout.write(`${JSON.stringify(figures)}\n`);
}

if (process.argv[1] === import.meta.filename) await main(process.argv.slice(2));
