import path from 'node:path';
import type { Channel } from '../src/channel/channel.js';
import { createLocalPair } from '../src/channel/local.js';
import { VamosError } from '../src/protocol/errors.js';
import { RpcServer } from '../src/rpc/host/server.js';
import { checkServable } from './backup/manifest.js';
import { makeFolder } from './make_folder.js';
import { openModules } from './modules/registry.js';

/** A root that this process has open. */
interface OpenRoot {
  isClosing: boolean;
  /** Settles when it is free again; rejects where it could not be closed in order. */
  released: Promise<void>;
}

const openRoots = new Map<string, OpenRoot>();

/**
 * The host half in this process, over a root directory that is made where there is none: tables in `tables/`, files in
 * `files/`. It closes the root when the session ends.
 * @throws VamosError ROOT_IN_USE: this or another process has the directory open; UNKNOWN_FORMAT, CORRUPTION, DISK_FULL
 */
export async function openLocal(directory: string): Promise<Channel> {
  const root = path.resolve(directory);
  const before = openRoots.get(root);
  if (before?.isClosing) await before.released.catch(() => undefined);
  if (openRoots.has(root)) {
    throw new VamosError('ROOT_IN_USE', `${root}: this process has it open already; share that connection`);
  }
  const use = claim(root);
  try {
    const host: { server?: RpcServer } = {};
    makeFolder(root);
    checkServable(root);
    const modules = await openModules({
      root,
      onFailure: (error) => {
        // `released` waits for the same promise, and reports how it ended.
        host.server?.fail(withAdvice(error)).catch(() => undefined);
      },
    });
    const server = (host.server = new RpcServer(Object.values(modules), {
      onSession: ({ kind }) => {
        if (kind === 'end') use.release(server.stop());
      },
      onChannelClosed: () => {
        use.release(server.stop());
      },
    }));
    const [guestEnd, hostEnd] = createLocalPair(`local:${directory}`);
    server.accept(hostEnd);
    return guestEnd;
  } catch (error) {
    use.release(Promise.resolve());
    throw withAdvice(error);
  }
}

/** Settles when this process has let go of the directory. @throws what closing it in order met */
export async function whenReleased(directory: string): Promise<void> {
  await openRoots.get(path.resolve(directory))?.released;
}

function claim(root: string): { release(closed: Promise<void>): void } {
  let settle!: (closed: Promise<void>) => void;
  const released = new Promise<void>((resolve) => {
    settle = resolve;
  }).finally(() => {
    openRoots.delete(root);
  });
  // Callers that wait get the error. Without any it must not count as unhandled.
  released.catch(() => undefined);
  const use: OpenRoot = { isClosing: false, released };
  openRoots.set(root, use);
  return {
    release(closed) {
      use.isClosing = true;
      settle(closed);
    },
  };
}

/** Adds that this process's user must open the root again: no daemon does. */
function withAdvice(error: unknown): VamosError {
  const failure = VamosError.from(error);
  if (failure.code !== 'DISK_FULL') return failure;
  return new VamosError('DISK_FULL', `${failure.message}, close the connection and open it again`, {
    cause: failure,
  });
}
