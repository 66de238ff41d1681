/**
 * The demo's program: the same one split and unsplit, told by its address alone.
 *
 *     node workload.js ADDRESS full|quick
 *
 * Takes one request a line on standard input and answers each with a line (protocol.ts).
 */
import { createInterface } from 'node:readline';
import { connect, type Vamos } from '../../entry/guest.js';
import { VamosError } from '../../src/protocol/errors.js';
import { Checksum, LINES, ORDERS } from './orders.js';
import { FULL, PHASES, QUICK, type Session } from './phases.js';
import type { Answer, Request, RunResult } from './protocol.js';

const [address, scaleName] = process.argv.slice(2);
const scale = scaleName === 'quick' ? QUICK : FULL;
let session: Session | undefined;

async function open(): Promise<Answer> {
  if (address === undefined) throw new Error('no address given');
  const vamos = await connect(address, { program: 'demo', connectTimeoutMs: 60_000 });
  const isNew = (await vamos.tables.list()).length === 0;
  const [orders, lines] = isNew
    ? [await vamos.tables.create(ORDERS), await vamos.tables.create(LINES)]
    : [await vamos.tables.open(ORDERS), await vamos.tables.open(LINES)];
  session = { vamos, orders, lines, scale };
  return {};
}

async function close(): Promise<Answer> {
  await session?.vamos.close();
  session = undefined;
  return {};
}

function opened(): Session {
  if (!session) throw new Error('not open');
  return session;
}

function phaseOf(name: string) {
  const phase = PHASES.find((each) => each.name === name);
  if (!phase) throw new Error(`no operation ${name}`);
  return phase;
}

async function run(name: string): Promise<Answer> {
  const phase = phaseOf(name);
  const current = opened();
  const checksum = new Checksum();
  const before = countersOf(current.vamos);
  const started = performance.now();
  const statements = await phase.run(current, checksum);
  const seconds = (performance.now() - started) / 1000;
  const after = countersOf(current.vamos);
  const result: RunResult = {
    statements,
    seconds,
    requests: after.requests - before.requests,
    frames: after.frames - before.frames,
    bytesToHost: after.bytesToHost - before.bytesToHost,
    bytesToGuest: after.bytesToGuest - before.bytesToGuest,
  };
  return phase.verify ? result : { ...result, checksum: checksum.digest() };
}

function countersOf({ counters }: Vamos) {
  return {
    requests: counters.requests,
    frames: counters.requestFrames,
    bytesToHost: counters.bytesSent,
    bytesToGuest: counters.bytesReceived,
  };
}

async function verify(name: string): Promise<Answer> {
  const checksum = new Checksum();
  await phaseOf(name).verify?.(opened(), checksum);
  return { checksum: checksum.digest() };
}

function answer(request: Request): Promise<Answer> {
  switch (request.do) {
    case 'open':
      return open();
    case 'run':
      return run(request.phase);
    case 'verify':
      return verify(request.phase);
    case 'close':
      return close();
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const reply = await answer(JSON.parse(line) as Request).catch((error: unknown): Answer => {
    const text =
      error instanceof VamosError ? `${error.code}: ${error.message}` : String((error as Error).stack);
    return { error: text };
  });
  process.stdout.write(`${JSON.stringify(reply)}\n`);
}
await close();
