import net from 'node:net';
import { crc32c } from '../../src/channel/crc32c.js';

/** A frame as native/wire/frame.hpp describes it, made here by hand. */
export function encodeFrame(kind: number, body: Uint8Array, sequence: number): Buffer {
  const frame = Buffer.alloc(24 + body.length);
  frame.write('VAM1', 0, 'latin1');
  frame.writeUInt8(1, 4);
  frame.writeUInt8(kind, 5);
  frame.writeUInt16LE(0, 6);
  frame.writeUInt32LE(body.length, 8);
  frame.writeUInt32LE(crc32c(body), 12);
  frame.writeUInt32LE(sequence, 16);
  frame.writeUInt32LE(crc32c(frame.subarray(0, 20)), 20);
  frame.set(body, 24);
  return frame;
}

/** Connects a plain socket, for bytes that no channel would send. */
export function connectRaw(file: string): Promise<net.Socket> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(file, () => {
      socket.on('error', () => undefined);
      resolve(socket);
    });
    socket.once('error', reject);
  });
}

export function write(socket: net.Socket, bytes: Uint8Array): Promise<void> {
  return new Promise((resolve) =>
    socket.write(bytes, () => {
      resolve();
    }),
  );
}
