import type { Channel, ChannelHandlers } from '../../channel/channel.js';
import { VamosError } from '../../protocol/errors.js';
import { vamos } from '../../protocol/generated/messages.js';
import { MIN_WINDOW_BYTES, PROTOCOL_VERSION } from '../../protocol/generated/limits.js';
import { sendGoodbye, type Session } from './session.js';
import { decode } from './wire.js';
import { MAX_PING_BYTES, MAX_PROGRAM_NAME_BYTES } from '../../protocol/generated/limits.js';

const { FrameKind } = vamos;
const MAX_HELLO_BYTES = 64 * 1024;

/** What a peer asks of the server that accepted it. */
export interface PeerServer {
  /**
   * Begins a session, after ending what an earlier connection of the same session left, or refuses it.
   * @throws VamosError
   */
  begin(peer: Peer, hello: vamos.Hello): Promise<Session>;
  /** @param session undefined: there is none, and the Welcome is for a connector that has to hear one before all else */
  welcome(nonce: Uint8Array, session: Session | undefined): Uint8Array;
  onSessionEnd(session: Session, error: VamosError | undefined): Promise<void>;
  onClosed(peer: Peer): void;
}

/** The host's end of one channel. A connector that says Hello there gets a session, one at a time. */
export class Peer implements ChannelHandlers {
  /** The nonce of the latest Hello. */
  #nonce: Uint8Array | undefined;
  #session: Session | undefined;
  /** Settles when the session before has let go of all that it held. */
  #released: Promise<void> = Promise.resolve();
  #isClosed = false;
  #helloTimer: NodeJS.Timeout | undefined;
  /** Settles when the channel is closed. */
  readonly closed: Promise<void>;
  #onClosed!: () => void;

  constructor(
    readonly channel: Channel,
    private readonly server: PeerServer,
    private readonly maxBufferedBytes: number,
    /** How long the channel may be without a Hello; undefined: for ever. */
    private readonly helloTimeoutMs: number | undefined,
  ) {
    this.closed = new Promise((resolve) => {
      this.#onClosed = resolve;
    });
    channel.setHandlers(this);
    this.#expectHello();
  }

  get hasSession(): boolean {
    return this.#session !== undefined;
  }

  onFrame(kind: vamos.FrameKind, body: Uint8Array): void {
    if (this.#isClosed) return;
    try {
      this.#take(kind, body);
    } catch (error) {
      void this.close(VamosError.from(error));
    }
    // A connector that writes and never reads must not fill our memory with answers to pings and hellos.
    if (this.channel.bufferedBytes > this.maxBufferedBytes) this.channel.pause();
  }

  onNewPeer(): void {
    this.#endSession(new VamosError('SESSION_LOST', 'another process opened the channel'));
    this.#nonce = undefined;
  }

  /** Asks the sender to say hello again. It may be a connector that knows nothing of this host. */
  onUnreadable(): void {
    if (this.#isClosed) return;
    const error = new VamosError('SESSION_LOST', 'what came belongs to no session that this host knows');
    sendGoodbye(this.channel, error);
    this.#nonce = undefined;
    this.#endSession(error);
  }

  onDrain(): void {
    this.channel.resume();
  }

  onClose(error: VamosError | undefined): void {
    this.#isClosed = true;
    clearTimeout(this.#helloTimer);
    this.#endSession(error ?? new VamosError('CHANNEL_CLOSED', 'the connector went without a goodbye'));
    this.server.onClosed(this);
    this.#onClosed();
  }

  /**
   * Ends the session, says why, and closes the channel. Settles when the session has let go of all that it
   * held.
   */
  close(error: VamosError): Promise<void> {
    if (!this.#isClosed) {
      this.#isClosed = true;
      clearTimeout(this.#helloTimer);
      if (error.code === 'SESSION_STALE') this.#beHeard();
      sendGoodbye(this.channel, error, this.#session ? undefined : this.#nonce);
      this.channel.close();
      this.#endSession(error);
    }
    return this.#released;
  }

  /**
   * Before its first Welcome a connector at a port passes over whatever comes, since that may be for a process before it. It would
   * not hear why its session is refused, and ask for it again and again.
   */
  #beHeard(): void {
    const isPort = this.channel.address.startsWith('virtio-serial:');
    if (!isPort || this.#session !== undefined || this.#nonce === undefined) return;
    this.channel.send(FrameKind.WELCOME, this.server.welcome(this.#nonce, undefined));
  }

  /** Ends the session and says why; the next Hello begins another one. */
  endSession(error: VamosError): void {
    if (!this.#session) return;
    sendGoodbye(this.channel, error);
    this.#nonce = undefined;
    this.#endSession(error);
    this.#expectHello();
  }

  #take(kind: vamos.FrameKind, body: Uint8Array): void {
    const maxBytes = kind === FrameKind.HELLO ? MAX_HELLO_BYTES : (this.#session?.maxFrameBytes ?? Infinity);
    if (body.length > maxBytes) {
      throw new VamosError('FRAME_TOO_LARGE', `a frame of ${body.length} bytes, the limit is ${maxBytes}`);
    }
    switch (kind) {
      case FrameKind.HELLO:
        this.#takeHello(decode(vamos.Hello, body));
        break;
      case FrameKind.REQUESTS:
        this.#expectSession().takeRequests(body);
        break;
      case FrameKind.CANCEL:
        this.#expectSession().takeCancel(body);
        break;
      case FrameKind.CREDIT:
        this.#expectSession().takeCredit(body);
        break;
      case FrameKind.PING:
        if (body.length > MAX_PING_BYTES) throw new VamosError('BAD_FRAME', `a ping of ${body.length} bytes`);
        this.channel.send(FrameKind.PONG, body);
        break;
      case FrameKind.PONG:
        break;
      case FrameKind.GOODBYE:
        this.#nonce = undefined;
        this.#endSession(reasonOf(decode(vamos.Goodbye, body)));
        this.#expectHello();
        break;
      default:
        throw new VamosError('BAD_FRAME', `a connector sends no frame of kind ${kind}`);
    }
  }

  /**
   * Ends the session where there is none for a frame. A connector that outlived its session's worker learns
   * it this way and says Hello again.
   */
  #expectSession(): Session {
    if (this.#session) return this.#session;
    throw new VamosError('SESSION_LOST', 'there is no session on this channel');
  }

  #expectHello(): void {
    if (this.helloTimeoutMs === undefined) return;
    clearTimeout(this.#helloTimer);
    this.#helloTimer = setTimeout(() => {
      const message = `no hello came within ${this.helloTimeoutMs} ms`;
      void this.close(new VamosError('DEADLINE_EXCEEDED', message));
    }, this.helloTimeoutMs);
  }

  #takeHello(hello: vamos.Hello): void {
    const { nonce } = hello;
    const session = this.#session;
    const isKnown = session?.id === Buffer.from(hello.session).toString('hex');
    const isStale = isKnown && session.isLaterThan(hello.epoch);
    if (this.#nonce !== undefined && Buffer.compare(nonce, this.#nonce) === 0 && !isStale) {
      // This Hello was sent again before our Welcome arrived.
      if (session) this.channel.send(FrameKind.WELCOME, this.server.welcome(nonce, session));
      return;
    }
    this.#nonce = nonce;
    clearTimeout(this.#helloTimer);
    this.#endSession(new VamosError('SESSION_LOST', 'another session began on the channel'));
    checkHello(hello);
    if (isStale) throw staleHello();
    void this.#begin(hello);
  }

  async #begin(hello: vamos.Hello): Promise<void> {
    const { nonce } = hello;
    const isCurrent = (): boolean => this.#nonce === nonce && !this.#isClosed;
    try {
      await this.#released;
      if (!isCurrent()) return;
      const session = await this.server.begin(this, hello);
      if (!isCurrent()) {
        // A Hello that came meanwhile may have begun another session already, which this loss does not
        // concern.
        await this.server.onSessionEnd(session, new VamosError('SESSION_LOST', 'its connector is gone'));
        return;
      }
      this.#session = session;
      this.channel.send(FrameKind.WELCOME, this.server.welcome(nonce, session));
    } catch (error) {
      if (isCurrent()) void this.close(VamosError.from(error));
    }
  }

  #endSession(error: VamosError | undefined): void {
    const session = this.#session;
    if (session === undefined) return;
    this.#session = undefined;
    this.#released = this.server.onSessionEnd(session, error);
  }
}

/**
 * Returns why a Goodbye ends the session; undefined: the connector is done. With a reason the connector goes
 * on in another session, and asks there what became of this one's commits.
 */
function reasonOf({ code, message }: vamos.Goodbye): VamosError | undefined {
  if (code === vamos.ErrorCode.OK) return undefined;
  return new VamosError('SESSION_LOST', `the connector ended the session: ${message.slice(0, 1000)}`);
}

/** The error for a Hello of a connector that is in another state than the host knows it in. */
export function staleHello(): VamosError {
  return new VamosError(
    'SESSION_STALE',
    "the host knows another state of this session: the guest's memory was rolled back",
  );
}

function checkHello(hello: vamos.Hello): void {
  const { version, nonce, session, epoch, program, replyWindowBytes } = hello;
  if (version !== PROTOCOL_VERSION) {
    throw new VamosError(
      'VERSION_MISMATCH',
      `the connector speaks protocol version ${version}, this host ${PROTOCOL_VERSION}`,
    );
  }
  const isSound =
    nonce.length === 16 &&
    session.length === 16 &&
    epoch >= 1 &&
    program.length <= MAX_PROGRAM_NAME_BYTES &&
    replyWindowBytes >= MIN_WINDOW_BYTES;
  if (!isSound) throw new VamosError('BAD_REQUEST', 'a hello with fields out of their limits');
}
