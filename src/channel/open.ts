import { VamosError } from '../protocol/errors.js';
import { parseAddress } from './address.js';
import type { Channel } from './channel.js';
import { type ChannelOptions, DescriptorChannel } from './descriptor_channel.js';
import { ANY_CID, Resync, callNative, errorOfNative } from './native.js';

/**
 * Opens the connector's end of an address, in one attempt.
 * @throws VamosError BAD_ADDRESS, CHANNEL_ABSENT (there is no such port or socket, or nothing at its other
 * end), CHANNEL_BUSY (another process has the port open), CHANNEL_DENIED, CHANNEL_FAILED; all with the
 * address in the message
 */
export async function connectChannel(address: string, options: ChannelOptions = {}): Promise<Channel> {
  const target = parseAddress(address);
  switch (target.transport) {
    case 'virtio-serial': {
      const port = callNative((module) => module.openPort(target.path));
      return new DescriptorChannel(address, port, Resync.WelcomeFirst, options);
    }
    case 'unix': {
      const socket = callNative((module) => module.connectUnix(target.path));
      return new DescriptorChannel(address, socket, Resync.Never, options);
    }
    case 'vsock': {
      if (target.cid === ANY_CID) {
        throw new VamosError('BAD_ADDRESS', `channel address '${address}': only a listener takes 'any'`);
      }
      const socket = await connectVsock(target.cid, target.port);
      return new DescriptorChannel(address, socket, Resync.Never, options);
    }
    case 'local':
      throw new VamosError(
        'BAD_ADDRESS',
        `channel address '${address}': local: runs the host half in this process; there is nothing to connect to`,
      );
  }
}

function connectVsock(cid: number, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    callNative((module) => {
      module.connectVsock(cid, port, (code, message, descriptor) => {
        if (code === 0) resolve(descriptor);
        else reject(errorOfNative(code, message));
      });
    });
  });
}
