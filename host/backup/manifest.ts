import { open, readFile, readdir, stat } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { crc32c } from '../../src/channel/crc32c.js';
import { VamosError } from '../../src/protocol/errors.js';
import { storageError } from './native_files.js';

/** The file that makes a folder a checkpoint. It is written last. */
export const MANIFEST_NAME = 'checkpoint.json';
/** A folder with this name or this ending is a checkpoint or a root that is not whole. */
export const INCOMPLETE = 'incomplete';
/** The file that marks a root that is being restored. */
export const RESTORE_MARK = `restore.${INCOMPLETE}`;

const FORMAT = 1;

const checksum = z.string().regex(/^[0-9a-f]{8}$/);
const mode = z.int().min(0).max(0o7777);
/** A relative path; bytes that are not printable ASCII, and `%`, are written as %XX. */
const entryPath = z
  .string()
  .regex(/^[\x20-\x7e]+$/)
  .refine((text) => /^(tables|files)(\/|$)/.test(text) && !/(^|\/)(\.{0,2})(\/|$)/.test(text));

const entry = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('file'),
    path: entryPath,
    bytes: z.int().min(0),
    crc32c: checksum,
    mode,
    /**
     * What a growing file gained until each checkpoint, one part after another. The first part lies at
     * `path.1` and so on (see partPath), and checkpoints share parts. Without parts the file lies at its
     * path.
     */
    parts: z.array(z.object({ bytes: z.int().min(0), crc32c: checksum })).optional(),
    /**
     * A file beneath `files/` as it was when it was copied. It has not changed as long as these numbers stay.
     */
    source: z.object({ device: z.number(), inode: z.number(), changed: z.string() }).optional(),
    /** The file was written to during each attempt to copy it. */
    changedWhileCopied: z.literal(true).optional(),
  }),
  z.object({ kind: z.literal('directory'), path: entryPath, mode }),
  z.object({ kind: z.literal('link'), path: entryPath, target: z.string() }),
]);

const manifest = z.object({
  format: z.literal(FORMAT),
  guest: z.string(),
  /** The ISO time of the moment whose tables the checkpoint holds. */
  madeAt: z.iso.datetime(),
  vamos: z.string(),
  rocksdb: z.string(),
  /** The identity of the store (see HeldFiles). */
  identity: z.string(),
  sequence: z.number(),
  owner: z.object({ uid: z.int(), gid: z.int() }),
  /** Files, directories and links. A directory comes before what is in it. */
  entries: z.array(entry),
});

export type Manifest = z.output<typeof manifest>;
export type Entry = z.output<typeof entry>;
export type FileEntry = Extract<Entry, { kind: 'file' }>;

/** Completes the manifest of the folder that it will lie in. */
export function makeManifest(content: Omit<Manifest, 'format'>): Manifest {
  return { format: FORMAT, ...content };
}

/** Writes the manifest and syncs it. */
export async function writeManifest(folder: string, content: Manifest): Promise<void> {
  const text = JSON.stringify(content);
  const file = await open(path.join(folder, MANIFEST_NAME), 'wx', 0o444);
  try {
    await file.writeFile(`{"crc32c":"${checksumOf(text)}","checkpoint":${text}}\n`);
    await file.sync();
  } catch (error) {
    throw storageError(error, folder);
  } finally {
    await file.close();
  }
}

/**
 * Reads a folder's manifest.
 * @throws VamosError BAD_REQUEST: the folder is no checkpoint; CORRUPTION; UNKNOWN_FORMAT
 */
export async function readManifest(folder: string): Promise<Manifest> {
  let text: string;
  try {
    text = await readFile(path.join(folder, MANIFEST_NAME), 'utf8');
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    throw code === 'ENOENT'
      ? new VamosError(
          'BAD_REQUEST',
          `${folder} is no complete checkpoint: it has no ${MANIFEST_NAME}; \`vamos host checkpoint\` makes one`,
        )
      : new VamosError('STORAGE_FAILED', `${folder}: ${message}`, { cause });
  }
  const damaged = (what: string) =>
    new VamosError(
      'CORRUPTION',
      `${path.join(folder, MANIFEST_NAME)}: ${what}; the checkpoint is damaged: use another one`,
    );
  let whole: { crc32c?: unknown; checkpoint?: { format?: unknown } } | null;
  try {
    whole = JSON.parse(text) as typeof whole;
  } catch {
    throw damaged('it is no JSON');
  }
  // The text must be exactly as it was written, so that no flipped bit passes.
  const content = JSON.stringify(whole?.checkpoint);
  if (text !== `{"crc32c":"${checksumOf(content ?? '')}","checkpoint":${content}}\n`) {
    throw damaged('its checksum does not match');
  }
  if (whole?.checkpoint?.format !== FORMAT) {
    throw new VamosError(
      'UNKNOWN_FORMAT',
      `${folder}: a checkpoint of format ${String(whole?.checkpoint?.format)}, this VAMOS reads format ${FORMAT}; use the version that made it`,
    );
  }
  const result = manifest.safeParse(whole.checkpoint);
  if (!result.success) throw damaged(result.error.issues[0]?.message ?? 'it does not decode');
  return result.data;
}

/** Finds the newest checkpoint of this store beside the target; undefined: there is none that can be read. */
export async function findBase(
  target: string,
  identity: string,
): Promise<{ folder: string; manifest: Manifest } | undefined> {
  const parent = path.dirname(target);
  const names = await readdir(parent);
  const dated = await Promise.all(
    names
      .filter((name) => !name.endsWith(`.${INCOMPLETE}`))
      .map(async (name) => {
        const folder = path.join(parent, name);
        const found = await stat(path.join(folder, MANIFEST_NAME)).catch(() => undefined);
        return found && { folder, madeMs: found.mtimeMs };
      }),
  );
  const candidates = dated.flatMap((each) => each ?? []).sort((one, other) => other.madeMs - one.madeMs);
  for (const { folder } of candidates) {
    const manifest = await readManifest(folder).catch(() => undefined);
    if (manifest?.identity === identity) return { folder, manifest };
  }
  return undefined;
}

/**
 * Checks that the folder may be served.
 * @throws VamosError BAD_CONFIGURATION: it is a checkpoint, or a root that is not whole
 */
export function checkServable(root: string): void {
  if (existsSync(path.join(root, MANIFEST_NAME))) {
    throw new VamosError(
      'BAD_CONFIGURATION',
      `${root} is a checkpoint, which stays as it is; make a root of it: vamos host restore ${root} NEW_ROOT`,
    );
  }
  if (existsSync(path.join(root, RESTORE_MARK))) {
    throw new VamosError(
      'BAD_CONFIGURATION',
      `${root}: a restore into it did not come to its end; remove the folder and restore again`,
    );
  }
}

/** Returns where a part of a file lies. Parts are numbered from 0. */
export function partPath(file: string, number: number): string {
  return `${file}.${number + 1}`;
}

/** Encodes the bytes of a path for an entry. */
export function encodePath(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) =>
    byte < 0x20 || byte > 0x7e || byte === 0x25
      ? `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
      : String.fromCharCode(byte),
  ).join('');
}

export function decodePath(text: string): Buffer {
  return Buffer.from(
    text.replace(/%([0-9A-F]{2})/g, (_, digits: string) => String.fromCharCode(parseInt(digits, 16))),
    'latin1',
  );
}

export function formatChecksum(crc: number): string {
  return crc.toString(16).padStart(8, '0');
}

function checksumOf(text: string): string {
  return formatChecksum(crc32c(Buffer.from(text)));
}
