import path from 'node:path';
import { VamosError } from '../protocol/errors.js';
import { ANY_CID } from './native.js';

/** The place that a channel leads to. */
export type Address =
  /** `path` is the guest's port device, or on the host the UNIX socket of QEMU's chardev. */
  | { transport: 'virtio-serial'; path: string }
  /** `cid` names the other end, on both ends. A listener's ANY_CID (written `any`) accepts every guest. */
  | { transport: 'vsock'; cid: number; port: number }
  | { transport: 'unix'; path: string }
  | { transport: 'local'; directory: string };

const PORT_FOLDER = '/dev/virtio-ports';
const FORMS =
  'virtio-serial:NAME (a port in the guest), virtio-serial:/PATH (the socket of its chardev on the host), ' +
  'vsock:CID:PORT, unix:PATH or local:DIRECTORY';
/** Address forms that are planned and not implemented yet. */
const LATER = new Set(['vsock-uds', 'shm']);

/**
 * Reads an address.
 * @throws VamosError BAD_ADDRESS, whose message says which forms are expected
 */
export function parseAddress(text: string): Address {
  const colon = text.indexOf(':');
  const transport = text.slice(0, Math.max(colon, 0));
  const rest = text.slice(colon + 1);
  if (LATER.has(transport)) throw bad(text, `${transport}: is not available yet`);
  if (rest === '') throw bad(text, `expected ${FORMS}`);
  if (rest.includes('\0')) throw bad(text, 'a path has no NUL byte');
  switch (transport) {
    case 'virtio-serial':
      if (rest === '.' || rest === '..') throw bad(text, 'not the name of a port');
      return { transport, path: rest.includes('/') ? rest : path.join(PORT_FOLDER, rest) };
    case 'vsock':
      return parseVsock(text, rest);
    case 'unix':
      return { transport, path: rest };
    case 'local':
      return { transport, directory: rest };
    default:
      throw bad(text, `expected ${FORMS}`);
  }
}

function parseVsock(text: string, rest: string): Address {
  const match = /^(any|\d+):(\d+)$/.exec(rest);
  const cid = match?.[1] === 'any' ? ANY_CID : Number(match?.[1]);
  const port = Number(match?.[2]);
  // The kernel reads 0xFFFFFFFF as 'any', both as a CID and as a port.
  const isValid = match && port < ANY_CID && (cid < ANY_CID || match[1] === 'any');
  if (!isValid) {
    throw bad(
      text,
      "expected vsock:CID:PORT with the other end's CID (the host is 2) or any, and a port number",
    );
  }
  return { transport: 'vsock', cid, port };
}

function bad(text: string, why: string): VamosError {
  return new VamosError('BAD_ADDRESS', `channel address '${text}': ${why}`);
}
