import { EventEmitter } from 'node:events';
import { connect, type Socket } from 'node:net';
import { LineReader } from './agent/protocol.js';
import { VmError } from './errors.js';

interface Pending {
  command: string;
  resolve: (value: unknown) => void;
  reject: (error: VmError) => void;
  timer: NodeJS.Timeout;
}

interface Message {
  QMP?: unknown;
  event?: string;
  data?: unknown;
  id?: number;
  return?: unknown;
  error?: { class: string; desc: string };
}

/**
 * A client of QEMU's machine protocol (qemu/docs/interop/qmp-spec). It emits QEMU's events under their own
 * names (VSERPORT_CHANGE, SHUTDOWN, …) with their data, and `close` when the connection has ended.
 */
export class QmpClient extends EventEmitter {
  readonly #socket: Socket;
  readonly #pending = new Map<number, Pending>();
  readonly #lines = new LineReader();
  #nextId = 1;
  #isClosed = false;
  #greeted: (() => void) | undefined;

  private constructor(socket: Socket) {
    super();
    this.#socket = socket;
    socket.on('data', (chunk) => this.#read(chunk));
    socket.on('error', () => undefined);
    socket.on('close', () => this.#end());
  }

  /**
   * Connects to a QMP socket and negotiates.
   * @throws VmError VM_GONE, TIMEOUT
   */
  static async connect(socketPath: string, timeoutMs = 10_000): Promise<QmpClient> {
    const socket = connect(socketPath);
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', (cause) => {
        reject(new VmError('VM_GONE', `no QEMU at ${socketPath}: ${cause.message}`, { cause }));
      });
    });
    const client = new QmpClient(socket);
    try {
      await new Promise<void>((resolve, reject) => {
        const fail = (code: 'TIMEOUT' | 'VM_GONE') =>
          reject(new VmError(code, `QEMU at ${socketPath} does not greet`));
        const timer = setTimeout(() => fail('TIMEOUT'), timeoutMs);
        client.#greeted = () => {
          clearTimeout(timer);
          resolve();
        };
        client.once('close', () => {
          clearTimeout(timer);
          fail('VM_GONE');
        });
      });
      await client.execute('qmp_capabilities', {}, timeoutMs);
    } catch (error) {
      client.close();
      throw error;
    }
    return client;
  }

  /**
   * Runs one command and returns its result.
   * @throws VmError QMP_REFUSED, TIMEOUT, VM_GONE
   */
  execute<T = unknown>(command: string, args: Record<string, unknown> = {}, timeoutMs = 30_000): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (this.#isClosed) return reject(new VmError('VM_GONE', `QMP ${command}: QEMU has gone`));
      const id = this.#nextId++;
      const timer = setTimeout(() => {
        this.#pending.delete(id);
        reject(new VmError('TIMEOUT', `QMP ${command}: no answer in ${timeoutMs} ms`));
      }, timeoutMs);
      this.#pending.set(id, { command, resolve: resolve as (value: unknown) => void, reject, timer });
      this.#socket.write(`${JSON.stringify({ execute: command, arguments: args, id })}\n`);
    });
  }

  close(): void {
    this.#socket.destroy();
  }

  #read(chunk: Buffer): void {
    try {
      for (const line of this.#lines.push(chunk)) if (line.trim()) this.#handle(JSON.parse(line) as Message);
    } catch {
      // This is not QMP, or a line without end, so there is no way to go on.
      this.#socket.destroy();
    }
  }

  #handle(message: Message): void {
    if (message.QMP !== undefined) return this.#greeted?.();
    if (message.event !== undefined) {
      // An EventEmitter throws on an 'error' without a listener; QMP has no such event.
      if (message.event !== 'error' && message.event !== 'close') this.emit(message.event, message.data);
      return;
    }
    const pending = message.id === undefined ? undefined : this.#pending.get(message.id);
    if (!pending) return;
    this.#pending.delete(message.id as number);
    clearTimeout(pending.timer);
    if (message.error) {
      const text = `QMP ${pending.command}: ${message.error.class}: ${message.error.desc}`;
      pending.reject(new VmError('QMP_REFUSED', text));
    } else pending.resolve(message.return);
  }

  #end(): void {
    this.#isClosed = true;
    for (const { command, reject, timer } of this.#pending.values()) {
      clearTimeout(timer);
      reject(new VmError('VM_GONE', `QMP ${command}: QEMU has gone`));
    }
    this.#pending.clear();
    this.emit('close');
  }
}
