import { chmodSync, existsSync, mkdirSync, statSync, unlinkSync } from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import type { Logger } from 'pino';
import { z } from 'zod';
import { ErrorCode, VamosError, type ErrorName } from '../../src/protocol/errors.js';
import { check } from './configuration.js';

const absolutePath = z.string().regex(/^\/[^\0]*$/, { error: 'expected an absolute path' });

/**
 * What the daemon can be asked. Each request is one JSON object on a line and is answered, in order, by one
 * line: `{"result": ...}` or `{"error": {code, message}}`. Lines `{"progress": ...}` may come before the
 * answer.
 */
const requestSchema = z.discriminatedUnion(
  'command',
  [
    z.strictObject({ command: z.literal('status') }),
    z.strictObject({ command: z.literal('add'), name: z.string(), guest: z.unknown() }),
    z.strictObject({ command: z.literal('remove'), name: z.string() }),
    z.strictObject({ command: z.literal('repair'), name: z.string(), acceptLoss: z.boolean() }),
    z.strictObject({ command: z.literal('reload') }),
    z.strictObject({ command: z.literal('stop') }),
    z.strictObject({
      command: z.literal('checkpoint'),
      guest: z.string(),
      target: absolutePath,
      base: absolutePath.optional(),
      copy: z.boolean().optional(),
    }),
    z.strictObject({
      command: z.literal('verify'),
      guest: z.string(),
      bytesPerSecond: z.number().min(1).optional(),
    }),
  ],
  { error: 'expected status, add, remove, repair, reload, stop, checkpoint or verify' },
);

export type ControlRequest = z.output<typeof requestSchema>;

const replySchema = z.union([
  z.object({ error: z.object({ code: z.string(), message: z.string() }) }),
  z.object({ result: z.unknown() }),
]);

/** The asking program, while the answer is on its way. */
export interface Asker {
  /** Aborted when the asking program is gone. */
  readonly signal: AbortSignal;
  tell(progress: unknown): void;
}

type Answer = (request: ControlRequest, asker: Asker) => Promise<unknown>;

const MAX_LINE_BYTES = 16 * 1024 * 1024;
const MAX_CONNECTIONS = 16;
const IDLE_MS = 60_000;
/** The limit of sockaddr_un, without the closing zero. */
const MAX_SOCKET_PATH_BYTES = 107;

/** The path of the control socket that a user's daemon listens at, and that commands use, by default. */
export function defaultControlPath(): string {
  if (process.getuid?.() === 0) return '/run/vamos/host.sock';
  const runtime = process.env.XDG_RUNTIME_DIR;
  return runtime
    ? path.join(runtime, 'vamos-host.sock')
    : path.join(os.tmpdir(), `vamos-${os.userInfo().uid}/host.sock`);
}

/**
 * Answers requests at a UNIX socket that only its owner may use.
 * @throws VamosError CHANNEL_BUSY where a live daemon answers, BAD_CONFIGURATION where there can be no socket
 */
export async function serveControl(
  socketPath: string,
  answer: Answer,
  log: Logger,
): Promise<{ close(): Promise<void> }> {
  await prepare(socketPath);
  const connections = new Set<net.Socket>();
  const answering = new Set<Promise<unknown>>();
  const server = net.createServer((socket) => {
    connections.add(socket);
    const gone = new AbortController();
    socket.on('close', () => {
      connections.delete(socket);
      gone.abort(new VamosError('CANCELLED', 'the one who asked for it is gone'));
    });
    socket.on('error', () => socket.destroy());
    socket.setTimeout(IDLE_MS, () => socket.destroy());
    onLines(socket, async (line) => {
      // The command itself may take long, such as a stop.
      socket.setTimeout(0);
      const replying = makeReply(line, answer, {
        signal: gone.signal,
        tell: (progress) => {
          // Only the latest progress counts, so nothing piles up for a program that does not read.
          if (!socket.destroyed && socket.writableLength === 0)
            socket.write(`${JSON.stringify({ progress })}\n`);
        },
      });
      answering.add(replying);
      const reply = await replying;
      answering.delete(replying);
      socket.setTimeout(IDLE_MS);
      if (!socket.destroyed) socket.write(`${JSON.stringify(reply)}\n`);
    });
  });
  server.maxConnections = MAX_CONNECTIONS;
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) =>
      reject(new VamosError('BAD_CONFIGURATION', `control: ${socketPath}: ${cause.message}`, { cause })),
    );
    // The socket is made within listen, with these rights from the start, so that no other user can ever
    // reach it.
    const mask = process.umask(0o177);
    server.listen(socketPath, resolve);
    process.umask(mask);
  });
  chmodSync(socketPath, 0o600);
  log.info({ control: socketPath }, 'daemon: control socket open');
  return {
    close: async () => {
      server.close();
      await Promise.all(answering);
      // The answers that were just written go out first.
      setImmediate(() => connections.forEach((socket) => socket.destroySoon()));
    },
  };
}

/**
 * Asks the daemon at a control socket.
 * @throws VamosError CHANNEL_ABSENT or CHANNEL_DENIED where no daemon answers, else what the daemon answers
 */
export async function askControl(
  socketPath: string,
  request: ControlRequest,
  onProgress?: (progress: unknown) => void,
): Promise<unknown> {
  const line = await new Promise<string>((resolve, reject) => {
    const socket = net.connect(socketPath, () => socket.write(`${JSON.stringify(request)}\n`));
    onLines(socket, (answer) => {
      if (answer.startsWith('{"progress":')) {
        onProgress?.((JSON.parse(answer) as { progress: unknown }).progress);
        return Promise.resolve();
      }
      resolve(answer);
      socket.destroy();
      return Promise.resolve();
    });
    socket.on('error', (cause: NodeJS.ErrnoException) => reject(unreachable(socketPath, cause)));
    socket.on('close', () =>
      reject(new VamosError('CHANNEL_CLOSED', `the daemon at ${socketPath} ended without an answer`)),
    );
  });
  const reply = replySchema.parse(JSON.parse(line));
  if ('result' in reply) return reply.result;
  const { code, message } = reply.error;
  throw new VamosError(Object.hasOwn(ErrorCode, code) ? (code as ErrorName) : 'INTERNAL', message);
}

async function makeReply(line: string, answer: Answer, asker: Asker): Promise<z.output<typeof replySchema>> {
  try {
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch (cause) {
      throw new VamosError('BAD_REQUEST', 'expected one JSON object a line', { cause });
    }
    const request = check(requestSchema, value, (keys) => keys.join('.') || 'request');
    return { result: (await answer(request, asker)) ?? null };
  } catch (error) {
    const { code, message } = VamosError.from(error);
    return { error: { code, message } };
  }
}

/** Calls `take` for each line, one after another; a line that is too long ends the connection. */
function onLines(socket: net.Socket, take: (line: string) => Promise<void>): void {
  let pending = Buffer.alloc(0);
  let isBusy = false;
  const next = async () => {
    if (isBusy) return;
    isBusy = true;
    for (let end = pending.indexOf(10); end >= 0; end = pending.indexOf(10)) {
      const line = pending.toString('utf8', 0, end);
      pending = pending.subarray(end + 1);
      await take(line);
    }
    isBusy = false;
    socket.resume();
  };
  socket.on('data', (chunk: Buffer) => {
    pending = Buffer.concat([pending, chunk]);
    if (pending.length > MAX_LINE_BYTES) {
      socket.destroy();
      return;
    }
    socket.pause();
    void next();
  });
}

/** Makes the folder, and removes a socket that a daemon left when it was killed. */
async function prepare(socketPath: string): Promise<void> {
  const fail = (message: string, cause?: unknown) =>
    new VamosError('BAD_CONFIGURATION', `control: ${message}`, { cause });
  if (Buffer.byteLength(socketPath) > MAX_SOCKET_PATH_BYTES) {
    throw fail(`${socketPath} is too long for a socket, at most ${MAX_SOCKET_PATH_BYTES} bytes`);
  }
  try {
    mkdirSync(path.dirname(socketPath), { recursive: true, mode: 0o700 });
  } catch (cause) {
    throw fail((cause as Error).message, cause);
  }
  const { uid } = statSync(path.dirname(socketPath));
  if (uid !== 0 && uid !== process.getuid?.()) {
    throw fail(`${path.dirname(socketPath)} belongs to another user, who could put his own socket there`);
  }
  if (!existsSync(socketPath)) return;
  if (!statSync(socketPath).isSocket()) throw fail(`${socketPath} is there already and not a socket`);
  const isAlive = await new Promise<boolean>((resolve) => {
    const probe = net.connect(socketPath, () => {
      probe.destroy();
      resolve(true);
    });
    probe.on('error', () => resolve(false));
  });
  if (isAlive) {
    throw new VamosError(
      'CHANNEL_BUSY',
      `control socket ${socketPath}: another daemon answers there; stop it, or give this one its own with --control`,
    );
  }
  unlinkSync(socketPath);
}

function unreachable(socketPath: string, cause: NodeJS.ErrnoException): VamosError {
  if (cause.code === 'EACCES') {
    return new VamosError('CHANNEL_DENIED', `control socket ${socketPath}: no right to use it`, { cause });
  }
  if (cause.code === 'ENOENT' || cause.code === 'ECONNREFUSED') {
    const message = `control socket ${socketPath}: no daemon answers; is one running, and with this --control?`;
    return new VamosError('CHANNEL_ABSENT', message, { cause });
  }
  return new VamosError('CHANNEL_FAILED', `control socket ${socketPath}: ${cause.message}`, { cause });
}
