import type { Channel } from '../../src/channel/channel.js';
import { ErrorCode } from '../../src/protocol/errors.js';
import { vamos } from '../../src/protocol/generated/messages.js';
import { type Rig, until } from './probe.js';

const { FrameKind } = vamos;
const SESSION = new Uint8Array(16).fill(5);

/** A connector that says hello properly, then whatever it likes. */
export class Stranger {
  readonly replies: vamos.IReply[] = [];
  readonly parked: number[] = [];
  /** The stamps of the frames of replies. */
  readonly stamps: number[] = [];
  largestFrameBytes = 0;
  receivedBytes = 0;
  goodbye: string | undefined;
  isClosed = false;
  isWelcome = false;

  private constructor(readonly channel: Channel) {}

  static async connect(rig: Rig, hello: vamos.IHello = {}): Promise<Stranger> {
    return Stranger.over(await rig.open(), hello);
  }

  static async over(channel: Channel, hello: vamos.IHello = {}): Promise<Stranger> {
    const stranger = new Stranger(channel);
    stranger.channel.setHandlers({
      onFrame: (kind: vamos.FrameKind, body) => {
        stranger.largestFrameBytes = Math.max(stranger.largestFrameBytes, body.length);
        if (kind === FrameKind.PARKED) stranger.parked.push(...vamos.Parked.decode(body).ids);
        if (kind === FrameKind.WELCOME) stranger.isWelcome = true;
        if (kind === FrameKind.REPLIES) {
          const { replies, stamp } = vamos.ReplyBatch.decode(body);
          stranger.replies.push(...replies);
          stranger.stamps.push(stamp);
          stranger.receivedBytes += body.length;
        }
        if (kind === FrameKind.GOODBYE) stranger.goodbye = ErrorCode[vamos.Goodbye.decode(body).code];
      },
      onClose: () => {
        stranger.isClosed = true;
      },
    });
    stranger.hello(hello);
    await until(() => stranger.isWelcome || stranger.isClosed);
    return stranger;
  }

  hello(hello: vamos.IHello = {}): void {
    const usual = {
      version: 1,
      nonce: new Uint8Array(16),
      session: SESSION,
      epoch: 1,
      replyWindowBytes: 1 << 20,
    };
    this.channel.send(FrameKind.HELLO, vamos.Hello.encode({ ...usual, ...hello }).finish());
  }

  /** @param stamp 0: none, as an earlier version of the connector sends it */
  requests(requests: vamos.IRequest[], receivedBytes = 0, stamp = 0): void {
    const batch = { requests, receivedBytes, stamp };
    this.channel.send(FrameKind.REQUESTS, vamos.RequestBatch.encode(batch).finish());
  }

  cancel(...ids: number[]): void {
    this.channel.send(FrameKind.CANCEL, vamos.Cancel.encode({ ids }).finish());
  }

  /** Returns the code of the goodbye with which the host ends the channel. */
  async end(): Promise<string | undefined> {
    await until(() => this.isClosed, 'the host to end the session');
    return this.goodbye;
  }
}
