import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { SmallDisk } from './small_disk.js';

/**
 * A file system whose disk takes no more blocks when it is full, which shows in syncs alone: writes go to the page cache and
 * succeed. A loop device over a sparse file on a small tmpfs.
 */
export class FailingDisk implements Disposable {
  /** Why there can be none here; undefined: it can. */
  static get obstacle(): string | undefined {
    if (SmallDisk.obstacle !== undefined) return SmallDisk.obstacle;
    try {
      execFileSync('losetup', ['--find'], { stdio: 'ignore' });
      execFileSync('mke2fs', ['-V'], { stdio: 'ignore' });
      return undefined;
    } catch {
      return 'no loop device can be had here';
    }
  }

  readonly #disk: SmallDisk;
  readonly #device: string;

  constructor(
    readonly path: string,
    mebibytes: number,
  ) {
    this.#disk = new SmallDisk(`${path}.disk`, mebibytes);
    const image = join(`${path}.disk`, 'image');
    execFileSync('truncate', ['--size=256M', image]);
    execFileSync('mke2fs', [
      '-q',
      '-F',
      '-t',
      'ext4',
      '-O',
      '^has_journal',
      '-E',
      'lazy_itable_init=0',
      image,
    ]);
    this.#device = execFileSync('losetup', ['--find', '--show', image], { encoding: 'utf8' }).trim();
    mkdirSync(path, { recursive: true });
    execFileSync('mount', [this.#device, path]);
  }

  /** What it takes from now on. */
  resize(mebibytes: number): void {
    this.#disk.resize(mebibytes);
  }

  [Symbol.dispose](): void {
    execFileSync('umount', ['--lazy', this.path]);
    execFileSync('losetup', ['--detach', this.#device]);
    this.#disk[Symbol.dispose]();
  }
}
