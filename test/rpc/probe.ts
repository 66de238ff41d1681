import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Accept, Channel } from '../../src/channel/channel.js';
import { connectChannel, listenChannel } from '../../src/channel/index.js';
import { createLocalPair } from '../../src/channel/local.js';
import { VamosError } from '../../src/protocol/errors.js';
import { RpcClient, type RpcClientOptions } from '../../src/rpc/connector/client.js';
import type { Call, HostModule, HostSession, ModuleSession } from '../../src/rpc/contract.js';
import { RpcServer, type RpcServerOptions } from '../../src/rpc/host/server.js';

/** Methods of the probe module (number 7). */
export const Method = {
  /** Answers with its body, immediately. */
  ECHO: 0x701,
  /** Answers with its body in a later turn. */
  ECHO_LATER: 0x702,
  /** Parks until RELEASE of the same body, or until it is aborted. */
  WAIT: 0x703,
  /** Wakes every WAIT, HOLD and CLING with this body, of all sessions. */
  RELEASE: 0x704,
  /** Waits as WAIT does, but does not say so, and heeds no abort. */
  HOLD: 0x705,
  /** Fails with DUPLICATE_KEY and its body as detail. */
  FAIL: 0x706,
  /** Throws something that is no VamosError. */
  THROW: 0x707,
  /** Answers with as many bytes as its body (u32) says. */
  BYTES: 0x708,
  /** Sleeps as many milliseconds as its body (u32) says; heeds abort. */
  SLEEP: 0x709,
  /** Waits as WAIT does, but heeds no abort. */
  CLING: 0x70a,
} as const;

/** A small real module whose requests wait, fail and answer on demand. */
export class Probe implements HostModule {
  readonly name = 'probe';
  readonly number = 7;
  /** Requests as `method:body`, in the order in which they started and ended. */
  readonly started: string[] = [];
  readonly ended: string[] = [];
  readonly sessions: string[] = [];
  isClosed = false;
  /** While this is set, sessions close only when it settles. */
  closeAfter: Promise<void> | undefined;
  readonly #waiting = new Map<string, Set<() => void>>();

  openSession(session: HostSession): ModuleSession {
    this.sessions.push(`open ${session.epoch}`);
    return {
      handle: (method, body, call) => this.#handle(method, body, call),
      close: async () => {
        await this.closeAfter;
        this.sessions.push(`close ${session.epoch}`);
      },
    };
  }

  get waitingCount(): number {
    return [...this.#waiting.values()].reduce((sum, waiters) => sum + waiters.size, 0);
  }

  /** Wakes every WAIT, HOLD and CLING with this body. */
  release(key: string): void {
    for (const wake of this.#waiting.get(key) ?? []) wake();
  }

  statistics(): Record<string, number> {
    return { started: this.started.length };
  }

  close(): Promise<void> {
    this.isClosed = true;
    return Promise.resolve();
  }

  #handle(method: number, body: Uint8Array, call: Call): Uint8Array | Promise<Uint8Array> {
    const label = `${call.stream}:${text(body)}`;
    this.started.push(label);
    const outcome = this.#answer(method, body, call);
    if (outcome instanceof Uint8Array) this.ended.push(label);
    else void outcome.finally(() => this.ended.push(label)).catch(() => undefined);
    return outcome;
  }

  #answer(method: number, body: Uint8Array, call: Call): Uint8Array | Promise<Uint8Array> {
    switch (method) {
      case Method.ECHO:
        return body;
      case Method.ECHO_LATER:
        return new Promise((resolve) => setImmediate(resolve, body));
      case Method.WAIT:
        return this.#wait(body, call, { parks: true, heedsAbort: true });
      case Method.HOLD:
        return this.#wait(body, call, { parks: false, heedsAbort: false });
      case Method.CLING:
        return this.#wait(body, call, { parks: true, heedsAbort: false });
      case Method.RELEASE:
        this.release(text(body));
        return body;
      case Method.FAIL:
        throw new VamosError('DUPLICATE_KEY', 'asked to fail', { detail: body });
      case Method.THROW:
        throw new TypeError('a fault of the module');
      case Method.BYTES:
        return new Uint8Array(Buffer.from(body).readUInt32LE());
      case Method.SLEEP:
        return delay(Buffer.from(body).readUInt32LE(), body, { signal: call.signal }).catch(() => {
          throw call.signal.reason;
        });
      default:
        throw new VamosError('UNKNOWN_METHOD', `no method ${method}`);
    }
  }

  #wait(
    body: Uint8Array,
    call: Call,
    { parks, heedsAbort }: { parks: boolean; heedsAbort: boolean },
  ): Promise<Uint8Array> {
    const key = text(body);
    const waiters = this.#waiting.get(key) ?? new Set();
    this.#waiting.set(key, waiters);
    return new Promise((resolve, reject) => {
      const wake = (): void => {
        waiters.delete(wake);
        resolve(body);
      };
      waiters.add(wake);
      if (parks) call.setParked(true);
      if (!heedsAbort) return;
      call.signal.addEventListener('abort', () => {
        waiters.delete(wake);
        reject(call.signal.reason as VamosError);
      });
    });
  }
}

export const bytes = (value: string): Uint8Array => Buffer.from(value);
export const text = (value: Uint8Array): string => Buffer.from(value).toString();
export const u32 = (value: number): Uint8Array => {
  const buffer = Buffer.alloc(4);
  buffer.writeUInt32LE(value);
  return buffer;
};

export type Transport = 'local' | 'unix';

export interface Rig {
  probe: Probe;
  server: RpcServer;
  client: RpcClient;
  /** The host's ends of all channels opened so far. */
  hostEnds: Channel[];
  /** Opens another channel to the same server. */
  open: () => Promise<Channel>;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface RigOptions {
  server?: RpcServerOptions;
  client?: RpcClientOptions;
  transport?: Transport;
}

/** A server with a probe module, and a client. */
export async function startRig(options: RigOptions = {}): Promise<Rig> {
  const probe = new Probe();
  const server = new RpcServer([probe], options.server);
  const hostEnds: Channel[] = [];
  const accept = (channel: Channel): void => {
    hostEnds.push(channel);
    server.accept(channel);
  };
  const { open, close } = options.transport === 'unix' ? await overUnix(accept) : overLocalPairs(accept);
  const client = await RpcClient.connect(open, options.client);
  return {
    probe,
    server,
    client,
    hostEnds,
    open,
    async [Symbol.asyncDispose]() {
      await client.close();
      await server.stop();
      await close();
    },
  };
}

interface Opener {
  open: () => Promise<Channel>;
  close: () => Promise<void>;
}

function overLocalPairs(accept: Accept): Opener {
  return {
    open() {
      const [guestEnd, hostEnd] = createLocalPair('local:test');
      accept(hostEnd);
      return Promise.resolve(guestEnd);
    },
    close: () => Promise.resolve(),
  };
}

async function overUnix(accept: Accept): Promise<Opener> {
  const folder = await mkdtemp(path.join(tmpdir(), 'vamos-rpc-'));
  const address = `unix:${path.join(folder, 'socket')}`;
  const listener = await listenChannel(address, accept);
  return {
    open: () => connectChannel(address),
    async close() {
      await listener.close();
      await rm(folder, { recursive: true });
    },
  };
}

/** Waits until `condition` holds. */
export async function until(condition: () => boolean, what = 'condition', timeoutMs = 60_000): Promise<void> {
  const end = performance.now() + timeoutMs;
  while (!condition()) {
    if (performance.now() > end) throw new Error(`timed out waiting for ${what}`);
    await delay(2);
  }
}

/** Returns the code with which the promise rejects; 'resolved' if it does not. */
export async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
    return 'resolved';
  } catch (error) {
    return error instanceof VamosError ? error.code : String(error);
  }
}
