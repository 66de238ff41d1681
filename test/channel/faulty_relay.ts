import net from 'node:net';

/** `toHost`: from the connector to the host. */
export type Direction = 'toHost' | 'toGuest';

/** One connector's connection: its own socket, and the one that leads on. */
interface Pair {
  guest: net.Socket;
  host: net.Socket;
}

/**
 * A relay between connectors and a host's UNIX socket that fails on demand, as a machine in the way may: it holds bytes back,
 * loses them, cuts a connection in the middle of a frame, or tells one side alone that the connection has ended.
 */
export class FaultyRelay implements AsyncDisposable {
  readonly #server: net.Server;
  readonly #pairs = new Set<Pair>();
  /** Host ends whose connectors are gone, of which the host is not told yet. */
  readonly #abandoned = new Set<net.Socket>();
  #isStalled = false;
  #isLosing = false;
  #isRefusing = false;
  /** The cut to come, and the bytes that still pass before it. */
  #cut: { direction: Direction; bytes: number; done: () => void } | undefined;

  private constructor(
    readonly path: string,
    private readonly target: string,
  ) {
    this.#server = net.createServer((guest) => {
      this.#attach(guest);
    });
  }

  /**
   * @param path where connectors find it
   * @param target the socket that it leads to
   */
  static async open(path: string, target: string): Promise<FaultyRelay> {
    const relay = new FaultyRelay(path, target);
    await new Promise<void>((resolve, reject) => {
      relay.#server.once('error', reject);
      relay.#server.listen(path, resolve);
    });
    return relay;
  }

  /** Lets nothing pass until `mend`; what is sent meanwhile waits. */
  stall(): void {
    this.#isStalled = true;
    for (const { guest, host } of this.#pairs) {
      guest.pause();
      host.pause();
    }
  }

  /** Loses what is sent until `mend`; neither side is told. */
  lose(): void {
    this.#isLosing = true;
  }

  /** Ends all connections, and refuses new ones until `mend`. */
  cut(): void {
    this.#isRefusing = true;
    for (const { guest, host } of this.#pairs) {
      guest.destroy();
      host.destroy();
    }
  }

  /** Lets this many bytes pass in one direction and then cuts, most likely within a frame. */
  cutAfter(direction: Direction, bytes: number): Promise<void> {
    return new Promise((done) => {
      this.#cut = { direction, bytes, done };
    });
  }

  /** Ends the connectors' side of all connections; the host is told by `mend`. */
  abandon(): void {
    for (const { guest, host } of this.#pairs) {
      this.#abandoned.add(host);
      guest.destroy();
    }
  }

  /** Lets everything pass again. */
  mend(): void {
    this.#isStalled = this.#isLosing = this.#isRefusing = false;
    this.#cut = undefined;
    for (const host of this.#abandoned) host.destroy();
    this.#abandoned.clear();
    for (const { guest, host } of this.#pairs) {
      guest.resume();
      host.resume();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut();
    this.mend();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #attach(guest: net.Socket): void {
    guest.on('error', () => undefined);
    if (this.#isRefusing) {
      guest.destroy();
      return;
    }
    const host = net.connect(this.target);
    host.on('error', () => undefined);
    const pair = { guest, host };
    this.#pairs.add(pair);
    this.#pump(pair, 'toHost');
    this.#pump(pair, 'toGuest');
    guest.on('close', () => {
      this.#pairs.delete(pair);
      if (!this.#abandoned.has(host)) host.destroy();
    });
    host.on('close', () => {
      this.#abandoned.delete(host);
      guest.destroy();
    });
    if (this.#isStalled) {
      guest.pause();
      host.pause();
    }
  }

  #pump(pair: Pair, direction: Direction): void {
    const [from, to] = direction === 'toHost' ? [pair.guest, pair.host] : [pair.host, pair.guest];
    from.on('data', (chunk: Buffer) => {
      if (this.#isLosing) return;
      if (this.#cut?.direction === direction) {
        const { bytes, done } = this.#cut;
        if (chunk.length >= bytes) {
          this.#cut = undefined;
          this.#isRefusing = true;
          // The other side gets the first part of the chunk before it learns of the end.
          to.end(chunk.subarray(0, bytes), () => {
            this.cut();
          });
          from.pause();
          done();
          return;
        }
        this.#cut.bytes -= chunk.length;
      }
      if (!to.write(chunk)) from.pause();
    });
    to.on('drain', () => {
      if (!this.#isStalled) from.resume();
    });
  }
}
