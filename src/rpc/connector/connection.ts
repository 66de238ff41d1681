import type { Channel, ChannelHandlers } from '../../channel/channel.js';
import { VamosError } from '../../protocol/errors.js';
import { vamos } from '../../protocol/generated/messages.js';
import { fromGoodbye } from './handshake.js';
import type { FrameStamps } from './frame_stamps.js';
import { BATCH_OVERHEAD_BYTES } from '../../protocol/generated/limits.js';
import type { CallQueue, PendingCall } from './pending_call.js';
import { MAX_UNANSWERED_PINGS, SMALL_CALL_BYTES } from '../../protocol/generated/limits.js';

const { FrameKind } = vamos;
const NO_BODY = new Uint8Array();

/** A frame of requests. It is in flight until each of them is answered or reported parked. */
interface SentFrame {
  unsettled: number;
}

interface SentRequest {
  call: PendingCall;
  /** The request's place in its call. */
  index: number;
  frame: SentFrame;
  bytes: number;
  isParked: boolean;
}

/** What goes on when a connection has ended. */
export interface ConnectorSession {
  /** Its 16 bytes. */
  readonly id: Uint8Array;
  readonly stamps: FrameStamps;
}

/** What a connection asks of the client that owns it. */
export interface ConnectionOwner {
  /**
   * There may be room for another frame, or a credit to give: the client is to flush at the end of this turn.
   */
  onRoom(): void;
  /** The session is over, and its sent calls have failed already. This is called once. */
  onEnd(error: VamosError): void;
}

/** The connector's side of one session: it sends batches of calls and settles them. */
export class Connection implements ChannelHandlers {
  readonly startedAt = performance.now();
  readonly maxFrameBytes: number;
  /** Frames of requests that were sent, and below them requests that the host reported parked. */
  requestFrames = 0;
  parked = 0;
  /** Settles when the channel is closed. */
  readonly closed: Promise<void>;

  #onClosed!: () => void;

  readonly #unanswered = new Map<number, SentRequest>();
  readonly #requestWindowBytes: number;
  readonly #maxFramesInFlight: number;
  #framesInFlight = 0;
  #unansweredBytes = 0;
  #receivedBytes = 0;
  #creditedBytes = 0;
  #nextId = 1;
  #cancelled: number[] = [];
  #isChannelFull = false;
  #hasEnded = false;
  #unansweredPings = 0;
  /** A frame arrived since the last ping was considered. */
  #hasHeard = false;
  /** Set when the host knows a later state of the session, which is then over. */
  #stale: VamosError | undefined;
  readonly #pingTimer: NodeJS.Timeout | undefined;

  constructor(
    readonly channel: Channel,
    welcome: vamos.Welcome,
    private readonly session: ConnectorSession,
    private readonly replyWindowBytes: number,
    pingIntervalMs: number,
    private readonly owner: ConnectionOwner,
  ) {
    this.closed = new Promise((resolve) => {
      this.#onClosed = resolve;
    });
    this.maxFrameBytes = welcome.maxFrameBytes;
    this.#requestWindowBytes = welcome.requestWindowBytes;
    this.#maxFramesInFlight = welcome.maxFramesInFlight;
    if (pingIntervalMs > 0) {
      this.#pingTimer = setInterval(() => {
        this.#ping();
      }, pingIntervalMs);
    }
  }

  get unansweredCount(): number {
    return this.#unanswered.size;
  }

  /**
   * Sends cancellations, then waiting calls as far as frames in flight and the window allow, then the credit
   * if it is due. A request that was made after a cancellation must not be sent before it: it could close a
   * circle with the wait that the cancellation ends.
   */
  flush(queue: CallQueue): void {
    if (this.#hasEnded) return;
    const cancelled = this.#cancelled.filter((id) => this.#unanswered.has(id));
    this.#cancelled = [];
    if (cancelled.length > 0) {
      this.#send(FrameKind.CANCEL, vamos.Cancel.encode({ ids: cancelled }).finish());
    }
    while (!queue.isEmpty && this.#canSend()) {
      const batch = queue.takeBatch(this.maxFrameBytes - BATCH_OVERHEAD_BYTES, (batchBytes, callBytes) =>
        this.#hasRoom(batchBytes, callBytes),
      );
      if (batch.length === 0) break;
      this.#sendBatch(batch);
    }
    if (this.#owesCredit()) {
      this.#creditedBytes = this.#receivedBytes;
      this.#send(FrameKind.CREDIT, vamos.Credit.encode({ receivedBytes: this.#receivedBytes }).finish());
    }
  }

  /** Tells the host with the next flush to stop the call. Its ids stay taken until they are answered. */
  cancel(call: PendingCall): void {
    this.#cancelled.push(...call.ids);
  }

  /** Ends the session in order: the host is told, and calls without an answer fail with `error`. */
  close(error: VamosError): void {
    this.#send(FrameKind.GOODBYE, vamos.Goodbye.encode({}).finish());
    this.channel.close();
    this.#end(error);
  }

  onFrame(kind: vamos.FrameKind, body: Uint8Array): void {
    if (this.#hasEnded) return;
    this.#unansweredPings = 0;
    this.#hasHeard = true;
    try {
      this.#take(kind, body);
    } catch (cause) {
      const error =
        cause instanceof VamosError
          ? cause
          : new VamosError('BAD_FRAME', `${this.channel.address}: a frame of the host does not decode`, {
              cause,
            });
      this.#send(
        FrameKind.GOODBYE,
        vamos.Goodbye.encode({ code: vamos.ErrorCode[error.code], message: error.message }).finish(),
      );
      this.#abandon(error);
    }
  }

  onDrain(): void {
    this.#isChannelFull = false;
    this.owner.onRoom();
  }

  onClose(error: VamosError | undefined): void {
    this.#onClosed();
    this.#end(
      error ?? new VamosError('CHANNEL_CLOSED', `${this.channel.address}: the host closed the channel`),
    );
  }

  #take(kind: vamos.FrameKind, body: Uint8Array): void {
    switch (kind) {
      case FrameKind.REPLIES:
        this.#receivedBytes += body.length;
        this.#settleAll(vamos.ReplyBatch.decode(body));
        if (this.#stale) this.#abandon(this.#stale);
        else this.owner.onRoom();
        break;
      case FrameKind.PARKED:
        for (const id of vamos.Parked.decode(body).ids) this.#park(id);
        this.owner.onRoom();
        break;
      case FrameKind.PING:
        this.#send(FrameKind.PONG, body);
        break;
      case FrameKind.GOODBYE:
        this.#abandon(fromGoodbye(this.channel.address, vamos.Goodbye.decode(body)));
        break;
      case FrameKind.WELCOME: // the answer to a Hello that was sent again
      case FrameKind.PONG:
        break;
      default:
        throw new VamosError('BAD_FRAME', `${this.channel.address}: the host sent a frame of kind ${kind}`);
    }
  }

  /** What answers frames that this guest never sent answers what it did before its memory was rolled back. */
  #settleAll({ replies, stamp }: vamos.ReplyBatch): void {
    if (this.session.stamps.mayBeLast(stamp)) for (const reply of replies) this.#settle(reply);
    else this.#stale = staleReplies(this.channel.address);
  }

  #settle(reply: vamos.IReply): void {
    const id = reply.id ?? 0;
    const sent = this.#unanswered.get(id);
    if (sent === undefined) {
      throw new VamosError(
        'BAD_FRAME',
        `${this.channel.address}: an answer to request ${id}, which is not open`,
      );
    }
    this.#unanswered.delete(id);
    this.#unansweredBytes -= sent.bytes;
    if (!sent.isParked) this.#settleInFrame(sent.frame);
    if (reply.failure) this.#fail(sent.call, VamosError.fromFailure(reply.failure));
    else sent.call.succeed(sent.index, reply.body ?? NO_BODY);
  }

  #fail(call: PendingCall, error: VamosError): void {
    if (error.code !== 'SESSION_STALE') {
      call.fail(error);
      return;
    }
    this.#stale = error;
    call.lose(error, this.session.id);
  }

  #park(id: number): void {
    const sent = this.#unanswered.get(id);
    if (sent === undefined || sent.isParked) {
      throw new VamosError(
        'BAD_FRAME',
        `${this.channel.address}: request ${id} is reported parked, but is not open`,
      );
    }
    sent.isParked = true;
    this.parked++;
    this.#settleInFrame(sent.frame);
  }

  #settleInFrame(frame: SentFrame): void {
    if (--frame.unsettled === 0) this.#framesInFlight--;
  }

  #canSend(): boolean {
    return this.#framesInFlight < this.#maxFramesInFlight && !this.#isChannelFull;
  }

  #hasRoom(batchBytes: number, callBytes: number): boolean {
    const used = this.#unansweredBytes + batchBytes;
    const window = this.#requestWindowBytes;
    return used === 0 || used + callBytes <= (callBytes <= SMALL_CALL_BYTES ? window : window - window / 8);
  }

  #owesCredit(): boolean {
    return this.#receivedBytes - this.#creditedBytes > this.replyWindowBytes / 2;
  }

  #sendBatch(batch: PendingCall[]): void {
    const frame: SentFrame = { unsettled: 0 };
    const requests: vamos.IRequest[] = [];
    for (const call of batch) {
      const ids = call.requests.map(() => this.#takeId());
      const deadlineMs = call.remainingMs;
      const last = call.requests.length - 1;
      call.requests.forEach(({ method, body }, index) => {
        const id = ids[index]!;
        const bytes = call.requestBytes(index);
        requests.push({ id, stream: call.stream, method, deadlineMs, chain: index < last, body });
        this.#unanswered.set(id, { call, index, frame, bytes, isParked: false });
        this.#unansweredBytes += bytes;
      });
      frame.unsettled += ids.length;
      call.ids = ids;
    }
    this.#framesInFlight++;
    this.requestFrames++;
    this.#creditedBytes = this.#receivedBytes;
    const stamp = this.session.stamps.next(this.#maxFramesInFlight);
    this.#send(
      FrameKind.REQUESTS,
      vamos.RequestBatch.encode({ requests, receivedBytes: this.#receivedBytes, stamp }).finish(),
    );
  }

  #takeId(): number {
    for (;;) {
      const id = this.#nextId;
      this.#nextId = id === 0xffff_ffff ? 1 : id + 1;
      if (!this.#unanswered.has(id)) return id;
    }
  }

  #send(kind: vamos.FrameKind, body: Uint8Array): void {
    if (!this.channel.send(kind, body)) this.#isChannelFull = true;
  }

  /**
   * Sends a ping, only while an answer is awaited and no frame arrived: a ping costs a transition like any
   * frame. It counts pings, not time: a process that stood still must first get to read what arrived
   * meanwhile.
   */
  #ping(): void {
    const isAlive = this.#unanswered.size === 0 || this.#hasHeard;
    this.#hasHeard = false;
    if (isAlive) this.#unansweredPings = 0;
    else if (this.#unansweredPings === MAX_UNANSWERED_PINGS) {
      this.#abandon(
        new VamosError(
          'CHANNEL_CLOSED',
          `${this.channel.address}: the host answers neither requests nor pings`,
        ),
      );
    } else {
      this.#unansweredPings++;
      this.#send(FrameKind.PING, NO_BODY);
    }
  }

  #abandon(error: VamosError): void {
    this.channel.close();
    this.#end(error);
  }

  #end(error: VamosError): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    clearInterval(this.#pingTimer);
    const sent = [...this.#unanswered.values()];
    this.#unanswered.clear();
    for (const { call } of sent) call.lose(error, this.session.id);
    this.owner.onEnd(error);
  }
}

function staleReplies(address: string): VamosError {
  return new VamosError(
    'SESSION_STALE',
    `${address}: the host answers requests that this guest has not made: its memory was rolled back`,
  );
}
