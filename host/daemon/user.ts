import { execFileSync } from 'node:child_process';
import { VamosError } from '../../src/protocol/errors.js';

/**
 * Returns the numbers of a user that is given by name or as UID:GID.
 * @throws VamosError BAD_CONFIGURATION
 */
export function resolveUser(user: string): { uid: number; gid: number } {
  const ask = (option: string) =>
    Number(
      execFileSync('id', [option, '--', user], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }),
    );
  const [uid, gid] = user.split(':').map(Number);
  if (gid !== undefined) return { uid: uid!, gid };
  try {
    return { uid: ask('-u'), gid: ask('-g') };
  } catch (cause) {
    throw new VamosError('BAD_CONFIGURATION', `user: no user '${user}' on this machine`, { cause });
  }
}
