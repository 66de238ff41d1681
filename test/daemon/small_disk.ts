import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';

/** A file system of its own that is soon full, at a path inside a test's folder; needs root. */
export class SmallDisk implements Disposable {
  /** Why it is impossible here; undefined: it is possible. */
  static readonly obstacle =
    process.getuid?.() === 0 && tries('unshare', '--mount', 'mount', '-t', 'tmpfs', 'none', '/mnt')
      ? undefined
      : 'no file system can be mounted here';

  constructor(
    readonly path: string,
    mebibytes: number,
  ) {
    mkdirSync(path, { recursive: true });
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${mebibytes}m`, 'none', path]);
  }

  /** Changes its size. */
  resize(mebibytes: number): void {
    execFileSync('mount', ['-o', `remount,size=${mebibytes}m`, this.path]);
  }

  /** Removes it, even while a program has files of it open. */
  [Symbol.dispose](): void {
    execFileSync('umount', ['--lazy', this.path]);
  }
}

function tries(command: string, ...args: string[]): boolean {
  try {
    execFileSync(command, args, { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
