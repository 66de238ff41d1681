import { randomUUID } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { Readable, Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { VmError } from '../errors.js';
import {
  LineReader,
  MAX_DATA_BYTES,
  STDIN_WINDOW_BYTES,
  type GuestMessage,
  type HostMessage,
} from './protocol.js';

/** How often to say hello until the agent answers: what is sent before it listens may be lost. */
const HELLO_INTERVAL_MS = 250;

export interface SpawnOptions {
  /** Variables that are added to the agent's own environment. */
  env?: Record<string, string>;
  /** The working directory. Default /root. */
  cwd?: string;
}

export interface ExitStatus {
  /** The exit status, or null if a signal ended the command. */
  code: number | null;
  signal: string | null;
}

/** A command that runs in the guest. */
export class VmProcess {
  /** Read both streams, or call `resume()` on them: output that is not read stays in memory. */
  readonly stdout = new Readable({ read: () => undefined });
  readonly stderr = new Readable({ read: () => undefined });
  readonly stdin: Writable;
  /**
   * Settles when the command has ended and its output has arrived. Rejects with VmError VM_GONE or
   * EXEC_FAILED.
   */
  readonly exited: Promise<ExitStatus>;
  readonly #send: (message: HostMessage) => void;
  #unacknowledgedBytes = 0;
  #resumeStdin: (() => void) | undefined;
  #settle!: { resolve: (status: ExitStatus) => void; reject: (error: VmError) => void };

  /** @internal made by AgentClient */
  constructor(
    readonly id: number,
    send: (message: HostMessage) => void,
  ) {
    this.#send = send;
    this.exited = new Promise((resolve, reject) => (this.#settle = { resolve, reject }));
    // A caller that only looks at the streams need not handle this rejection.
    this.exited.catch(() => undefined);
    this.stdin = new Writable({
      write: (chunk: Buffer, _encoding, done) => this.#writeStdin(chunk, done),
      final: (done) => {
        send({ type: 'stdin', id });
        done();
      },
    });
    this.stdin.on('error', () => undefined);
  }

  /** Sends a signal to the command and what it started. */
  kill(signal: NodeJS.Signals = 'SIGTERM'): void {
    this.#send({ type: 'signal', id: this.id, signal });
  }

  #writeStdin(chunk: Buffer, done: () => void): void {
    let offset = 0;
    const sendOn = () => {
      while (offset < chunk.length && this.#unacknowledgedBytes < STDIN_WINDOW_BYTES) {
        const part = chunk.subarray(offset, offset + MAX_DATA_BYTES);
        offset += part.length;
        this.#unacknowledgedBytes += part.length;
        this.#send({ type: 'stdin', id: this.id, data: part.toString('base64') });
      }
      this.#resumeStdin = offset < chunk.length ? sendOn : undefined;
      if (offset === chunk.length) done();
    };
    sendOn();
  }

  /** @internal */
  handle(message: Exclude<GuestMessage, { type: 'hello' }>): void {
    switch (message.type) {
      case 'started':
        return;
      case 'stdout':
      case 'stderr':
        this[message.type].push(Buffer.from(message.data, 'base64'));
        return;
      case 'taken':
        this.#unacknowledgedBytes -= message.bytes;
        this.#resumeStdin?.();
        return;
      case 'exit':
        this.#finish();
        return this.#settle.resolve({ code: message.code, signal: message.signal });
      case 'failed':
        return this.fail(new VmError('EXEC_FAILED', `in the guest: ${message.message}`));
    }
  }

  /** @internal */
  fail(error: VmError): void {
    this.#finish();
    this.#settle.reject(error);
  }

  #finish(): void {
    this.stdout.push(null);
    this.stderr.push(null);
    this.stdin.destroy();
  }
}

/** The host's end of the guest's agent. */
export class AgentClient {
  readonly #socket: Socket;
  readonly #lines = new LineReader();
  readonly #processes = new Map<number, VmProcess>();
  readonly #nonce = randomUUID();
  #nextId = 1;
  #onHello: (() => void) | undefined;
  #isWelcome = false;
  #isClosed = false;
  /** Resolves when the connection has ended. */
  readonly closed: Promise<void>;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk) => this.#read(chunk));
    socket.on('error', () => undefined);
    this.closed = new Promise((resolve) => {
      socket.on('close', () => {
        this.#isClosed = true;
        for (const command of this.#processes.values()) {
          command.fail(new VmError('VM_GONE', 'the guest has gone while a command ran in it'));
        }
        this.#processes.clear();
        resolve();
      });
    });
  }

  /**
   * Connects to the control port's socket and waits until the agent answers.
   * @throws VmError VM_GONE, BOOT_TIMEOUT
   */
  static async connect(socketPath: string, timeoutMs: number): Promise<AgentClient> {
    const socket = connect(socketPath);
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', (cause) => reject(new VmError('VM_GONE', `no guest at ${socketPath}`, { cause })));
    });
    const client = new AgentClient(socket);
    const deadlineMs = performance.now() + timeoutMs;
    const welcome = new Promise<void>((resolve) => (client.#onHello = resolve));
    while (!client.#isWelcome) {
      if (client.#isClosed) throw new VmError('VM_GONE', 'the guest ended before its agent answered');
      if (performance.now() > deadlineMs) {
        client.close();
        throw new VmError('BOOT_TIMEOUT', `the guest's agent did not answer within ${timeoutMs} ms`);
      }
      client.#send({ type: 'hello', nonce: client.#nonce });
      await Promise.race([welcome, client.closed, sleep(HELLO_INTERVAL_MS)]);
    }
    return client;
  }

  /** Starts a command; a failure to start shows in `exited`. */
  spawn(argv: readonly string[], options: SpawnOptions = {}): VmProcess {
    const id = this.#nextId++;
    const command = new VmProcess(id, (message) => this.#send(message));
    if (this.#isClosed) {
      command.fail(new VmError('VM_GONE', 'the guest has gone'));
      return command;
    }
    this.#processes.set(id, command);
    this.#send({ type: 'exec', id, argv: [...argv], env: options.env ?? {}, cwd: options.cwd ?? '/root' });
    return command;
  }

  /** Asks the guest to switch off in order. */
  shutdown(): void {
    this.#send({ type: 'shutdown' });
  }

  close(): void {
    this.#socket.destroy();
  }

  #send(message: HostMessage): void {
    if (!this.#isClosed) this.#socket.write(`${JSON.stringify(message)}\n`);
  }

  #read(chunk: Buffer): void {
    let lines: string[];
    try {
      lines = this.#lines.push(chunk);
    } catch {
      this.#socket.destroy();
      return;
    }
    for (const line of lines) {
      let message: GuestMessage;
      try {
        message = JSON.parse(line) as GuestMessage;
      } catch {
        // This is the rest of a line that was meant for an earlier host.
        if (!this.#isWelcome) continue;
        this.#socket.destroy();
        return;
      }
      this.#handle(message);
    }
  }

  #handle(message: GuestMessage): void {
    if (message.type === 'hello') {
      if (message.nonce !== this.#nonce) return;
      this.#isWelcome = true;
      this.#onHello?.();
      return;
    }
    if (!this.#isWelcome) return;
    const command = this.#processes.get(message.id);
    if (message.type === 'exit' || message.type === 'failed') this.#processes.delete(message.id);
    command?.handle(message);
  }
}
