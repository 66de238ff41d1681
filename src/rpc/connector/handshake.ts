import type { Channel, ChannelHandlers } from '../../channel/channel.js';
import { freshBytes } from '../../channel/fresh_bytes.js';
import { ErrorCode, VamosError } from '../../protocol/errors.js';
import { vamos } from '../../protocol/generated/messages.js';
import { NONCE_BYTES, PROTOCOL_VERSION } from '../../protocol/generated/limits.js';

const { FrameKind } = vamos;
const FIRST_RESEND_MS = 100;
const LAST_RESEND_MS = 500;

/** What a connector says of itself in every Hello. */
export interface Greeting {
  session: Uint8Array;
  epoch: number;
  token: string;
  program: string;
  replyWindowBytes: number;
  stamps: readonly number[];
}

/**
 * Says Hello, again and again (a virtio-serial port drops what is sent while no host end is connected), until the
 * Welcome that echoes its nonce. Frames before it belong to a session before ours and are passed over.
 * @param open makes what takes the channel's frames from then on
 * @throws VamosError NO_WELCOME after `timeoutMs`, BAD_TOKEN, VERSION_MISMATCH, HOST_STOPPING, the channel's codes,
 *   CANCELLED by `signal`; the channel is closed then
 */
export function greet<Opened extends ChannelHandlers>(
  channel: Channel,
  greeting: Greeting,
  timeoutMs: number,
  signal: AbortSignal,
  open: (welcome: vamos.Welcome) => Opened,
): Promise<Opened> {
  return new Promise((resolve, reject) => {
    const nonce = freshBytes(NONCE_BYTES);
    const { stamps, ...others } = greeting;
    const fields = { version: PROTOCOL_VERSION, nonce, ...others, stamps: [...stamps] };
    const hello = vamos.Hello.encode(fields).finish();
    let resendMs = FIRST_RESEND_MS;
    let resendTimer: NodeJS.Timeout;

    const timer = setTimeout(() => {
      fail(new VamosError('NO_WELCOME', `${channel.address}: no host answered within ${timeoutMs} ms`));
    }, timeoutMs);
    const onAbort = (): void => {
      fail(new VamosError('CANCELLED', `${channel.address}: closed before the host answered`));
    };
    signal.addEventListener('abort', onAbort);

    function stop(): void {
      clearTimeout(timer);
      clearTimeout(resendTimer);
      signal.removeEventListener('abort', onAbort);
    }
    function fail(error: VamosError): void {
      stop();
      channel.destroy();
      reject(error);
    }
    function say(): void {
      channel.send(FrameKind.HELLO, hello);
      resendTimer = setTimeout(say, resendMs);
      resendMs = Math.min(resendMs + FIRST_RESEND_MS, LAST_RESEND_MS);
    }

    channel.setHandlers({
      onFrame(kind: vamos.FrameKind, body) {
        if (kind === FrameKind.WELCOME) {
          const welcome = decodeIfOurs(vamos.Welcome, body, nonce);
          if (welcome === undefined) return;
          const refusal = checkWelcome(channel.address, welcome);
          if (refusal) {
            fail(refusal);
            return;
          }
          stop();
          const opened = open(welcome);
          channel.setHandlers(opened);
          resolve(opened);
        } else if (kind === FrameKind.GOODBYE) {
          const goodbye = decodeIfOurs(vamos.Goodbye, body, nonce);
          if (goodbye) fail(fromGoodbye(channel.address, goodbye));
        }
      },
      onClose(error) {
        fail(
          error ?? new VamosError('CHANNEL_CLOSED', `${channel.address}: closed before the host answered`),
        );
      },
    });
    if (signal.aborted) onAbort();
    else say();
  });
}

function decodeIfOurs<Message extends { nonce: Uint8Array }>(
  type: { decode(body: Uint8Array): Message },
  body: Uint8Array,
  nonce: Uint8Array,
): Message | undefined {
  try {
    const message = type.decode(body);
    return Buffer.compare(message.nonce, nonce) === 0 ? message : undefined;
  } catch {
    return undefined;
  }
}

function checkWelcome(address: string, welcome: vamos.Welcome): VamosError | undefined {
  if (welcome.version !== PROTOCOL_VERSION) {
    return new VamosError(
      'VERSION_MISMATCH',
      `${address}: the host speaks protocol version ${welcome.version}, this connector ${PROTOCOL_VERSION}`,
    );
  }
  const { maxFrameBytes, requestWindowBytes, maxFramesInFlight } = welcome;
  if (maxFrameBytes < 1024 || requestWindowBytes < maxFrameBytes || maxFramesInFlight < 1) {
    return new VamosError('BAD_FRAME', `${address}: the host's limits make no sense`);
  }
  return undefined;
}

/** Makes an error of the failure that a Goodbye tells of. */
export function fromGoodbye(address: string, goodbye: vamos.Goodbye): VamosError {
  const code =
    ErrorCode[goodbye.code] === undefined || goodbye.code === ErrorCode.OK
      ? ErrorCode.SESSION_LOST
      : goodbye.code;
  return VamosError.fromFailure({
    code,
    message: `${address}: ${goodbye.message || 'the host ended the session'}`,
  });
}
