/**
 * The guest's agent, which process 1 starts. It runs commands for the host, and takes orders and answers on
 * the control port.
 */
import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { closeSync, openSync, read, write } from 'node:fs';
import { promisify } from 'node:util';
import { setTimeout as sleep } from 'node:timers/promises';
import { CONTROL_PORT, LineReader, MAX_DATA_BYTES, type GuestMessage, type HostMessage } from './protocol.js';

const PORT_PATH = `/dev/virtio-ports/${CONTROL_PORT}`;
/** While more output than this waits for the port, the agent does not read from commands. */
const BUFFERED_LIMIT_BYTES = 1 << 20;

const readAsync = promisify(read);
const writeAsync = promisify(write);
const port = openSync(PORT_PATH, 'r+');
const commands = new Map<number, ChildProcessWithoutNullStreams>();
let waiting: string[] = [];
let waitingBytes = 0;
let isWriting = false;

function send(message: GuestMessage): void {
  const line = `${JSON.stringify(message)}\n`;
  waiting.push(line);
  waitingBytes += line.length;
  if (waitingBytes > BUFFERED_LIMIT_BYTES) for (const child of commands.values()) setReading(child, false);
  if (!isWriting) void writeAll();
}

async function writeAll(): Promise<void> {
  isWriting = true;
  while (waiting.length > 0) {
    const data = Buffer.from(waiting.join(''));
    waiting = [];
    for (let offset = 0; offset < data.length;) {
      offset += (await writeAsync(port, data, offset, data.length - offset, null)).bytesWritten;
    }
    waitingBytes = waiting.reduce((sum, line) => sum + line.length, 0);
    if (waitingBytes === 0) for (const child of commands.values()) setReading(child, true);
  }
  isWriting = false;
}

function setReading(child: ChildProcessWithoutNullStreams, isReading: boolean): void {
  for (const stream of [child.stdout, child.stderr]) {
    if (isReading) stream.resume();
    else stream.pause();
  }
}

function start(id: number, argv: string[], env: Record<string, string>, cwd: string): void {
  const [program, ...args] = argv;
  if (program === undefined) return send({ type: 'failed', id, message: 'no command' });
  const child = spawn(program, args, {
    cwd,
    env: { ...process.env, ...env },
    // The command gets a process group of its own, so that a signal reaches what it started, too.
    detached: true,
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  commands.set(id, child);
  let hasFailed = false;
  child.on('spawn', () => send({ type: 'started', id, pid: child.pid as number }));
  child.on('error', (error) => {
    if (child.pid !== undefined) return;
    hasFailed = true;
    commands.delete(id);
    send({ type: 'failed', id, message: error.message });
  });
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].on('data', (chunk: Buffer) => {
      for (let offset = 0; offset < chunk.length; offset += MAX_DATA_BYTES) {
        const data = chunk.subarray(offset, offset + MAX_DATA_BYTES).toString('base64');
        send({ type: name, id, data });
      }
    });
  }
  // A command may end without having read its input.
  child.stdin.on('error', () => undefined);
  child.on('close', (code, signal) => {
    commands.delete(id);
    if (!hasFailed) send({ type: 'exit', id, code, signal });
  });
}

function signalGroup(child: ChildProcessWithoutNullStreams, signal: NodeJS.Signals): void {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, signal);
  } catch {
    // It has ended meanwhile.
  }
}

/** Ends all commands: a host that connects anew knows nothing of the commands of the one before. */
function endAll(): void {
  for (const child of commands.values()) signalGroup(child, 'SIGKILL');
  commands.clear();
}

function handle(message: HostMessage): void {
  switch (message.type) {
    case 'hello':
      return send({ type: 'hello', nonce: message.nonce, node: process.version });
    case 'exec':
      return start(message.id, message.argv, message.env, message.cwd);
    case 'stdin': {
      const child = commands.get(message.id);
      if (message.data === undefined) child?.stdin.end();
      else {
        const data = Buffer.from(message.data, 'base64');
        const taken = () => send({ type: 'taken', id: message.id, bytes: data.length });
        if (child?.stdin.writable) child.stdin.write(data, taken);
        else taken();
      }
      return;
    }
    case 'signal': {
      const child = commands.get(message.id);
      if (child) signalGroup(child, message.signal as NodeJS.Signals);
      return;
    }
    case 'shutdown':
      endAll();
      closeSync(port);
      process.exit(0);
  }
}

const lines = new LineReader();
const buffer = Buffer.alloc(64 << 10);
for (;;) {
  const { bytesRead } = await readAsync(port, buffer, 0, buffer.length, null);
  if (bytesRead === 0) {
    // No host is there: the port reads as ended until one comes.
    endAll();
    lines.reset();
    await sleep(20);
    continue;
  }
  let texts: string[] = [];
  try {
    // The reader keeps what it gets, while this buffer is used again.
    texts = lines.push(Buffer.from(buffer.subarray(0, bytesRead)));
  } catch {
    lines.reset();
  }
  for (const text of texts) {
    let message: HostMessage;
    try {
      message = JSON.parse(text) as HostMessage;
    } catch {
      // This is the rest of a line that another host had begun.
      continue;
    }
    handle(message);
  }
}
