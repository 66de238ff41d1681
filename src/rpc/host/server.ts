import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { Channel } from '../../channel/channel.js';
import { type ErrorName, VamosError } from '../../protocol/errors.js';
import { vamos } from '../../protocol/generated/messages.js';
import type { HostModule } from '../contract.js';
import { DEFAULT_MAX_STREAMS, MAX_FRAME_BYTES, PROTOCOL_VERSION } from '../../protocol/generated/limits.js';
import { LastStamps } from './last_stamps.js';
import { Peer, staleHello, type PeerServer } from './peer.js';
import { Session, type SessionLimits } from './session.js';
import { addCounters, count, noCounters, RequestStatistics, type ServerStatistics } from './statistics.js';

export interface RpcServerOptions extends Partial<SessionLimits> {
  /** A token that a connector must show. Default: none. */
  token?: string;
  /** The most simultaneous sessions. Default 1,024. */
  maxSessions?: number;
  /**
   * The most simultaneous channels, with a session or without; one more is closed immediately. Default 1,024.
   */
  maxChannels?: number;
  /** How long a socket's channel may stay without a Hello. Default 10,000. */
  helloTimeoutMs?: number;
  /** The largest reply window that a connector gets, whatever it asks for. Default 64 MiB. */
  maxReplyWindowBytes?: number;
  /** How long `stop` waits for requests that run. Default 10,000. */
  stopTimeoutMs?: number;
  /** Called, for logs, when a session begins and when it ends (error undefined: in order). */
  onSession?(event: SessionEvent): void;
  /** Called when a channel that was accepted has closed. */
  onChannelClosed?(channel: Channel): void;
}

export interface SessionEvent {
  kind: 'begin' | 'end';
  session: string;
  epoch: number;
  program: string;
  address: string;
  error: VamosError | undefined;
}

const MIB = 1024 * 1024;
const DEFAULT_LIMITS: SessionLimits = {
  maxFrameBytes: 4 * MIB,
  requestWindowBytes: 16 * MIB,
  // More than one frame that travels and one that runs would only make batches smaller: 16 streams that
  // commit took up to 0.16 frames a commit with four in flight, at most 0.1 with two.
  maxFramesInFlight: 2,
  maxStreams: DEFAULT_MAX_STREAMS,
  maxQueuedReplyBytes: 32 * MIB,
  maxRunning: 256,
  endTimeoutMs: 1_000,
};

/**
 * The host's end of any number of channels. Each connector gets a session, and the modules run its requests.
 */
export class RpcServer {
  readonly #modules: readonly HostModule[];
  readonly #options: RpcServerOptions;
  readonly #limits: SessionLimits;
  readonly #tokenDigest: Buffer;
  readonly #worker = randomBytes(16);
  readonly #peers = new Set<Peer>();
  readonly #statistics = new RequestStatistics();
  /** Sessions by id, each until all that it held is released. */
  readonly #sessions = new Map<string, { session: Session; peer: Peer }>();
  readonly #lastStamps = new LastStamps();
  readonly #pastChannels = noCounters();
  readonly #sessionsEnded: Partial<Record<ErrorName, number>> = {};
  readonly #peerServer: PeerServer;
  #sessionsStarted = 0;
  #stopped: Promise<void> | undefined;

  constructor(modules: HostModule[], options: RpcServerOptions = {}) {
    this.#modules = modules;
    this.#options = options;
    this.#limits = pickLimits(options);
    this.#tokenDigest = digest(options.token ?? '');
    this.#peerServer = {
      begin: (peer, hello) => this.#begin(peer, hello),
      welcome: (nonce, session) => this.#welcome(nonce, session),
      onSessionEnd: (session, error) => this.#endSession(session, error),
      onClosed: (peer) => {
        this.#peers.delete(peer);
        addCounters(this.#pastChannels, peer.channel.counters);
        options.onChannelClosed?.(peer.channel);
      },
    };
  }

  /** Serves a connector on this channel until it closes. */
  accept(channel: Channel): void {
    if (this.#peers.size >= (this.#options.maxChannels ?? 1024)) {
      // It gets no Goodbye: before its Hello a connector heeds none.
      channel.destroy();
      return;
    }
    const helloTimeoutMs = endsWithItsPeer(channel) ? (this.#options.helloTimeoutMs ?? 10_000) : undefined;
    const { maxQueuedReplyBytes } = this.#limits;
    this.#peers.add(new Peer(channel, this.#peerServer, maxQueuedReplyBytes, helloTimeoutMs));
  }

  statistics(): ServerStatistics {
    const channels = { ...this.#pastChannels };
    for (const peer of this.#peers) addCounters(channels, peer.channel.counters);
    const sessions = [...this.#sessions.values()].map(({ session }) => session.status());
    return {
      sessions,
      sessionsStarted: this.#sessionsStarted,
      sessionsEnded: { ...this.#sessionsEnded },
      channels,
      requestFrames: this.#statistics.requestFrames,
      requests: this.#statistics.requests,
      parked: sessions.reduce((sum, session) => sum + session.parked, 0),
      errors: { ...this.#statistics.errors },
      methods: this.#statistics.methods,
    };
  }

  /**
   * Begins no session and starts no request any more, finishes what runs (for at most `stopTimeoutMs`; parked
   * requests are not waited for), says goodbye with HOST_STOPPING and closes the modules. Idempotent.
   */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  /**
   * Ends everything because nothing can be answered any more. Says goodbye with this error (with
   * HOST_STOPPING to connectors without a session) before any other promise continues, and closes the
   * modules. Idempotent; a stop under way goes on as it is.
   */
  fail(reason: VamosError): Promise<void> {
    // The owner of a session that ends may call stop(), which must find this promise.
    this.#stopped ??= Promise.resolve().then(() => this.#end(reason));
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    const timeoutMs = this.#options.stopTimeoutMs ?? 10_000;
    await Promise.all([...this.#sessions.values()].map(({ session }) => session.drain(timeoutMs)));
    await this.#end(new VamosError('HOST_STOPPING', 'the host is stopping'));
  }

  async #end(reason: VamosError): Promise<void> {
    // A connector that has no session yet lost nothing, and is to ask again.
    const refusal = new VamosError('HOST_STOPPING', reason.message);
    // The stores must not wait for a peer that takes its goodbye slowly.
    await Promise.all([
      ...[...this.#peers].map((peer) =>
        peer.close(peer.hasSession ? reason : refusal).then(() => peer.closed),
      ),
      this.#release(reason),
    ]);
  }

  async #release(reason: VamosError): Promise<void> {
    await Promise.all([...this.#sessions.values()].map(({ session }) => session.end(reason)));
    for (const module of this.#modules) await module.close();
  }

  async #begin(peer: Peer, hello: vamos.Hello): Promise<Session> {
    if (!timingSafeEqual(digest(hello.token), this.#tokenDigest)) {
      throw new VamosError('BAD_TOKEN', 'the host wants another token');
    }
    const id = Buffer.from(hello.session).toString('hex');
    for (let old = this.#sessions.get(id); ; old = this.#sessions.get(id)) {
      if (old?.session.isLaterThan(hello.epoch)) throw staleHello();
      const lastStamp = old?.session.lastStamp ?? this.#lastStamps.of(id);
      if (lastStamp !== 0 && !hello.stamps.includes(lastStamp)) throw staleHello();
      if (!old) break;
      const reason = new VamosError('SESSION_LOST', 'the connector connected again');
      if (old.peer !== peer) void old.peer.close(reason);
      await old.session.end(reason);
      this.#forget(old.session);
    }
    if (this.#stopped) throw new VamosError('HOST_STOPPING', 'the host is stopping');
    if (this.#sessions.size >= (this.#options.maxSessions ?? 1024)) {
      throw new VamosError('BAD_REQUEST', 'the host has as many sessions as it allows');
    }
    const replyWindowBytes = Math.min(hello.replyWindowBytes, this.#options.maxReplyWindowBytes ?? 64 * MIB);
    const { epoch, program } = hello;
    const session = new Session(
      peer.channel,
      { id, epoch, program, replyWindowBytes, lastStamp: hello.stamps.at(-1) ?? 0 },
      this.#modules,
      this.#limits,
      this.#statistics,
      (error) => {
        peer.endSession(error);
      },
    );
    this.#sessions.set(id, { session, peer });
    this.#sessionsStarted++;
    this.#tell('begin', session, peer, undefined);
    return session;
  }

  async #endSession(session: Session, error: VamosError | undefined): Promise<void> {
    const entry = this.#sessions.get(session.id);
    count(this.#sessionsEnded, error?.code ?? 'OK');
    if (entry) this.#tell('end', session, entry.peer, error);
    await session.end(error);
    this.#forget(session);
  }

  #forget(session: Session): void {
    if (this.#sessions.get(session.id)?.session !== session) return;
    this.#sessions.delete(session.id);
    this.#lastStamps.remember(session.id, session.lastStamp);
  }

  #tell(kind: 'begin' | 'end', session: Session, peer: Peer, error: VamosError | undefined): void {
    const { id, epoch, program } = session;
    this.#options.onSession?.({ kind, session: id, epoch, program, address: peer.channel.address, error });
  }

  #welcome(nonce: Uint8Array, session: Session | undefined): Uint8Array {
    return vamos.Welcome.encode({
      nonce,
      version: PROTOCOL_VERSION,
      maxFrameBytes: session?.maxFrameBytes ?? this.#limits.maxFrameBytes,
      requestWindowBytes: this.#limits.requestWindowBytes,
      maxFramesInFlight: this.#limits.maxFramesInFlight,
      worker: this.#worker,
    }).finish();
  }
}

function pickLimits(options: Partial<SessionLimits>): SessionLimits {
  const limits = { ...DEFAULT_LIMITS };
  for (const name of Object.keys(limits) as (keyof SessionLimits)[])
    limits[name] = options[name] ?? limits[name];
  const halfWindowBytes = Math.floor(limits.requestWindowBytes / 2);
  limits.maxFrameBytes = Math.min(limits.maxFrameBytes, halfWindowBytes, MAX_FRAME_BYTES);
  return limits;
}

/**
 * Says whether a channel closes when its peer goes. A virtio-serial port's channel stays open, and silent,
 * while no process of the guest uses it.
 */
function endsWithItsPeer(channel: Channel): boolean {
  return /^(unix|vsock):/.test(channel.address);
}

/** Returns a digest whose length does not depend on the token's, for a comparison in constant time. */
function digest(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}
