import { lstatSync, rmSync } from 'node:fs';
import { VamosError } from '../protocol/errors.js';
import { type Address, parseAddress } from './address.js';
import { Backoff, type BackoffOptions } from './backoff.js';
import type { Accept, Listener } from './channel.js';
import { type ChannelOptions, DescriptorChannel } from './descriptor_channel.js';
import { ANY_CID, Resync, callNative } from './native.js';

export interface ListenOptions extends ChannelOptions {
  /**
   * virtio-serial: this process makes the chardev's socket and QEMU connects to it, rather than the other way
   * round.
   */
  ownsSocket?: boolean;
  /** virtio-serial: the delays between attempts to reach QEMU. */
  backoff?: BackoffOptions;
  /**
   * virtio-serial: an attempt to reach QEMU failed, or a connection to it ended; the next attempt follows
   * after `delayMs`.
   */
  onRetry?: (error: VamosError | undefined, delayMs: number) => void;
}

/**
 * Opens the host's end of an address. `accept` gets a channel for each connector. For a virtio-serial port
 * there is one channel at a time, which lives as long as QEMU keeps the connection, whichever process opens
 * the port in the guest.
 * @throws VamosError BAD_ADDRESS, CHANNEL_BUSY (another process listens there), CHANNEL_DENIED,
 * CHANNEL_FAILED
 */
// eslint-disable-next-line @typescript-eslint/require-await -- failures are rejections, whatever the transport
export async function listenChannel(
  address: string,
  accept: Accept,
  options: ListenOptions = {},
): Promise<Listener> {
  const target = parseAddress(address);
  switch (target.transport) {
    case 'virtio-serial':
      if (options.ownsSocket) return new SocketListener(address, target, accept, options);
      return new ChardevListener(address, target.path, accept, options);
    case 'unix':
    case 'vsock':
      return new SocketListener(address, target, accept, options);
    case 'local':
      throw new VamosError(
        'BAD_ADDRESS',
        `channel address '${address}': a local: address can't be listened on`,
      );
  }
}

/** Accepts connections on a socket that this process made. */
class SocketListener implements Listener {
  readonly #close: () => void;

  constructor(
    readonly address: string,
    target: Address,
    accept: Accept,
    options: ListenOptions,
  ) {
    const resync = target.transport === 'virtio-serial' ? Resync.HelloAnytime : Resync.Never;
    const path = 'path' in target ? target.path : undefined;
    const socket = callNative((module) =>
      target.transport === 'vsock' ? module.listenVsock(target.port) : module.listenUnix(path ?? ''),
    );
    const file = path === undefined ? undefined : lstatSync(path);
    const listener = callNative(
      (module) =>
        new module.NativeListener(
          socket,
          target.transport === 'vsock' ? target.cid : ANY_CID,
          (descriptor) => {
            accept(new DescriptorChannel(address, descriptor, resync, options));
          },
        ),
    );
    this.#close = () => {
      listener.close();
      // Another process may have put its socket there by now, which must stay.
      const now = path === undefined ? undefined : lstatSync(path, { throwIfNoEntry: false });
      if (path !== undefined && now?.ino === file?.ino) rmSync(path, { force: true });
    };
  }

  close(): Promise<void> {
    this.#close();
    return Promise.resolve();
  }
}

/** Connects to the socket of QEMU's chardev, again and again. */
class ChardevListener implements Listener {
  readonly #backoff: Backoff;
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(
    readonly address: string,
    readonly path: string,
    readonly accept: Accept,
    readonly options: ListenOptions,
  ) {
    this.#backoff = new Backoff(options.backoff);
    this.#connect();
  }

  close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    return Promise.resolve();
  }

  #connect(): void {
    let channel: DescriptorChannel;
    try {
      const socket = callNative((module) => module.connectUnix(this.path));
      channel = new DescriptorChannel(this.address, socket, Resync.HelloAnytime, this.options, (error) => {
        if (channel.counters.framesReceived > 0) this.#backoff.reset();
        this.#retry(error);
      });
    } catch (error) {
      this.#retry(VamosError.from(error));
      return;
    }
    this.accept(channel);
  }

  #retry(error: VamosError | undefined): void {
    if (this.#isClosed) return;
    const delayMs = this.#backoff.nextDelayMs();
    this.options.onRetry?.(error, delayMs);
    this.#timer = setTimeout(() => {
      this.#connect();
    }, delayMs);
  }
}
