import net from 'node:net';
import path from 'node:path';

/**
 * Does what QEMU does between a chardev's socket and a guest's port, with a socket in place of the port.
 * Bytes go both ways under back-pressure; the host is not told which process has the port open; what the
 * guest sends while no host end is connected is dropped; and the guest's end breaks when the host's goes.
 */
export class ChardevRelay {
  #host: net.Socket | undefined;
  /** A connection that is not in use yet. */
  #nextHost: net.Socket | undefined;
  #guest: net.Socket | undefined;

  private constructor(
    readonly hostPath: string,
    readonly portPath: string,
    /** The socket of the host that the port leads to after `swapHost`. */
    readonly nextHostPath: string,
    readonly servers: net.Server[],
  ) {}

  static async open(folder: string): Promise<ChardevRelay> {
    const servers = [net.createServer(), net.createServer(), net.createServer()] as const;
    const file = (name: string) => path.join(folder, name);
    const relay = new ChardevRelay(file('chardev'), file('port'), file('next'), [...servers]);
    servers[0].on('connection', (socket) => {
      relay.#attachHost(socket);
    });
    servers[1].on('connection', (socket) => {
      relay.#attachGuest(socket);
    });
    servers[2].on('connection', (socket) => {
      socket.pause();
      socket.on('error', () => undefined);
      relay.#nextHost = socket;
    });
    await Promise.all([
      listen(servers[0], relay.hostPath),
      listen(servers[1], relay.portPath),
      listen(servers[2], relay.nextHostPath),
    ]);
    return relay;
  }

  /** Leads the port to the other host from now on, as after a live migration: the guest is told nothing. */
  async swapHost(): Promise<void> {
    while (this.#nextHost === undefined) await new Promise(setImmediate);
    // The former host must not come back.
    this.servers[0]!.close();
    const former = this.#host;
    this.#host = undefined;
    former?.destroy();
    this.#attachHost(this.#nextHost);
  }

  /** Drops QEMU's end of the chardev, as when the machine is reset. */
  async dropHost(): Promise<void> {
    while (this.#host === undefined) await new Promise(setImmediate);
    this.#host.destroy();
  }

  async close(): Promise<void> {
    this.#host?.destroy();
    this.#nextHost?.destroy();
    this.#guest?.destroy();
    await Promise.all(this.servers.map((server) => new Promise((resolve) => server.close(resolve))));
  }

  #attachHost(socket: net.Socket): void {
    // The end of the former connection may be reported only after this one has come.
    if (this.#host) this.#detachHost(this.#host);
    this.#host = socket;
    socket.pause();
    socket.on('data', (data) => {
      if (this.#host === socket && this.#guest && !this.#guest.write(data)) socket.pause();
    });
    socket.on('drain', () => this.#guest?.resume());
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.#detachHost(socket);
    });
    if (this.#guest) socket.resume();
    this.#guest?.resume();
  }

  #detachHost(socket: net.Socket): void {
    if (this.#host !== socket) return;
    this.#host = undefined;
    socket.destroy();
    this.#guest?.destroy();
    this.#guest = undefined;
  }

  #attachGuest(socket: net.Socket): void {
    this.#guest?.destroy();
    this.#guest = socket;
    socket.on('data', (data) => {
      if (this.#host && !this.#host.write(data)) socket.pause();
    });
    socket.on('drain', () => this.#host?.resume());
    socket.on('error', () => undefined);
    socket.on('close', () => {
      if (this.#guest === socket) {
        this.#guest = undefined;
        this.#host?.pause();
      }
    });
    this.#host?.resume();
  }
}

function listen(server: net.Server, file: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(file, resolve);
  });
}
