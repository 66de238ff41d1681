import type { Channel } from '../../channel/channel.js';
import { VamosError } from '../../protocol/errors.js';
import { vamos } from '../../protocol/generated/messages.js';
import type { HostCall } from './host_call.js';
import { BATCH_OVERHEAD_BYTES, OVERHEAD_BYTES } from '../../protocol/generated/limits.js';

/** A failure's message and detail are cut to this length, so that a reply never is too large for a frame. */
const MAX_MESSAGE_LENGTH = 1000;
const MAX_DETAIL_BYTES = 4096;
/**
 * The most that several encoded replies take together; less than the smallest frame that a connector may
 * allow.
 */
const MAX_ENCODED_BYTES = 48 * 1024;

interface QueuedReply {
  /** One reply, or several encoded as in a ReplyBatch. */
  message: vamos.IReply | Uint8Array;
  /** An upper bound of the bytes that it takes in a frame. */
  bytes: number;
  readonly onSent: () => void;
}

/** Replies that wait for the end of the turn, or for the connector's credit. */
export class ReplyQueue {
  #replies: QueuedReply[] = [];
  #queuedBytes = 0;
  #sentBytes = 0;
  #creditedBytes = 0;

  constructor(
    private readonly channel: Channel,
    private readonly maxFrameBytes: number,
    private readonly windowBytes: number,
  ) {}

  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  /**
   * Adds a reply, and returns the error that it carries.
   * @param onSent called when the reply goes out
   */
  push(call: HostCall, outcome: Uint8Array | VamosError, onSent: () => void): VamosError | undefined {
    const answer = outcome instanceof VamosError ? outcome : this.#checked(call, outcome);
    const message: vamos.IReply =
      answer instanceof VamosError
        ? { id: call.id, failure: clipped(answer) }
        : { id: call.id, body: answer };
    const { body, failure } = message;
    const bytes = OVERHEAD_BYTES + (body?.length ?? 0) + (failure ? failureBytes(failure) : 0);
    this.#add({ message, bytes, onSent });
    return answer instanceof VamosError ? answer : undefined;
  }

  /** The most bytes that `pushEncoded` takes. */
  get maxEncodedBytes(): number {
    return Math.min(this.maxFrameBytes - BATCH_OVERHEAD_BYTES, MAX_ENCODED_BYTES);
  }

  /** Adds several encoded replies, at most `maxEncodedBytes`. */
  pushEncoded(replies: Uint8Array, onSent: () => void): void {
    this.#add({ message: replies, bytes: replies.length, onSent });
  }

  #add(reply: QueuedReply): void {
    this.#replies.push(reply);
    this.#queuedBytes += reply.bytes;
  }

  /** The connector has taken this many bytes of reply frames. */
  credit(receivedBytes: number): void {
    if (receivedBytes < this.#creditedBytes || receivedBytes > this.#sentBytes) {
      throw new VamosError(
        'BAD_REQUEST',
        `a credit of ${receivedBytes} bytes, of ${this.#sentBytes} sent and ${this.#creditedBytes} credited before`,
      );
    }
    this.#creditedBytes = receivedBytes;
  }

  /**
   * Sends what the window allows, one frame at a time.
   * @param stamp that of the last request frame that has come
   */
  flush(stamp: number): void {
    for (;;) {
      const batch = this.#takeBatch();
      if (batch.length === 0) return;
      const frame = encode(batch, stamp);
      this.#sentBytes += frame.length;
      this.channel.send(vamos.FrameKind.REPLIES, frame);
      for (const { onSent } of batch) onSent();
    }
  }

  /**
   * Takes the replies of one frame. A frame takes at most half the window, so a connector whose credit runs
   * short holds another frame, for which it must give credit.
   */
  #takeBatch(): QueuedReply[] {
    const room = Math.min(this.maxFrameBytes, this.windowBytes - (this.#sentBytes - this.#creditedBytes));
    let bytes = BATCH_OVERHEAD_BYTES;
    let count = 0;
    while (count < this.#replies.length && bytes + this.#replies[count]!.bytes <= room) {
      bytes += this.#replies[count]!.bytes;
      count++;
    }
    if (count === 0) return [];
    this.#queuedBytes -= bytes - BATCH_OVERHEAD_BYTES;
    return this.#replies.splice(0, count);
  }

  #checked(call: HostCall, body: Uint8Array): Uint8Array | VamosError {
    const most = this.maxFrameBytes - BATCH_OVERHEAD_BYTES - OVERHEAD_BYTES;
    if (body.length <= most) return body;
    return new VamosError(
      'INTERNAL',
      `method ${call.method} answered with ${body.length} bytes, a frame has room for ${most}`,
    );
  }
}

/** Encodes a ReplyBatch. Its parts may stand one after another, each as a message of its own. */
function encode(batch: readonly QueuedReply[], stamp: number): Uint8Array {
  const replies: vamos.IReply[] = [];
  const parts: Uint8Array[] = [];
  for (const { message } of batch) (message instanceof Uint8Array ? parts : replies).push(message as never);
  const frame = vamos.ReplyBatch.encode({ replies, stamp }).finish();
  return parts.length === 0 ? frame : Buffer.concat([...parts, frame]);
}

function clipped(error: VamosError): vamos.IFailure {
  const failure = error.toFailure();
  if (error.message.length > MAX_MESSAGE_LENGTH) {
    failure.message = `${error.message.slice(0, MAX_MESSAGE_LENGTH)}...`;
  }
  if (error.detail.length > MAX_DETAIL_BYTES) failure.detail = error.detail.subarray(0, MAX_DETAIL_BYTES);
  return failure;
}

function failureBytes(failure: vamos.IFailure): number {
  return OVERHEAD_BYTES + 3 * (failure.message?.length ?? 0) + (failure.detail?.length ?? 0);
}
