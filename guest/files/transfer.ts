import { vamos } from '../../src/protocol/generated/messages.js';
import { FILES_MAX_RANGES } from '../../src/protocol/generated/limits.js';
import type { CallOptions as StreamOptions } from '../../src/rpc/contract.js';
import { toBytes } from './arguments.js';
import { encodeWrite, splitRead, type FileRequests } from './requests.js';

const { Method, SyncKind } = vamos.files;

/** A handle on the host. */
export interface OpenFile {
  readonly requests: FileRequests;
  readonly number: number;
  /** Each write goes to the file's end, so that a second attempt would write twice. */
  readonly appends: boolean;
}

/** What is written: data that are there, or that come piece by piece. */
export type WriteSource =
  string | ArrayBufferView | Iterable<string | ArrayBufferView> | AsyncIterable<string | ArrayBufferView>;

/** How many windows are asked for ahead; a new frame asks for half of them. */
const WINDOWS_AHEAD = 4;
const FIRST_WINDOW_BYTES = 64 * 1024;

export interface ReadRange {
  /** null: from the file's own position. */
  position: number | null;
  /** Infinity: up to the end of the file. */
  lengthBytes: number;
  /** The size of the first window; sizes double up to the largest that fits a frame. Default 64 KiB. */
  windowBytes?: number;
}

/** Yields windows one after another, asked for ahead; ends at the end of the file. */
export async function* readWindows(
  file: OpenFile,
  { position, lengthBytes, windowBytes = FIRST_WINDOW_BYTES }: ReadRange,
  clock: () => StreamOptions,
): AsyncGenerator<Uint8Array, void, undefined> {
  const { requests } = file;
  const windows: { bytes: number; reply: Promise<Uint8Array> }[] = [];
  let issuedBytes = 0;
  let nextBytes = Math.min(windowBytes, requests.pieceBytes);
  let isAtEnd = false;

  function ask(): void {
    if (isAtEnd || windows.length > WINDOWS_AHEAD / 2) return;
    while (windows.length < WINDOWS_AHEAD && issuedBytes < lengthBytes) {
      const bytes = Math.min(nextBytes, lengthBytes - issuedBytes);
      const reply = readRange(file, position === null ? null : position + issuedBytes, bytes, clock());
      // A caller that stops early does not look at it.
      reply.catch(() => undefined);
      windows.push({ bytes, reply });
      issuedBytes += bytes;
      nextBytes = Math.min(2 * nextBytes, requests.pieceBytes);
    }
  }

  for (;;) {
    ask();
    const window = windows.shift();
    if (window === undefined) return;
    const data = await window.reply;
    // Behind a short window something may have been appended meanwhile: there a gap would show.
    if (isAtEnd && position !== null) continue;
    if (data.length < window.bytes) isAtEnd = true;
    ask();
    if (data.length > 0) yield data;
  }
}

/** Sends one READ of one range. */
export async function readRange(
  file: OpenFile,
  position: number | null,
  lengthBytes: number,
  options: StreamOptions,
  closeAtEnd = false,
): Promise<Uint8Array> {
  const body = vamos.files.Read.encode({
    handle: file.number,
    offsets: position === null ? [] : [position],
    lengths: [lengthBytes],
    closeAtEnd,
  }).finish();
  const reply = await file.requests.send(Method.READ, body, { syscall: 'read' }, options);
  return splitRead(reply, 1)[0]!;
}

/** Sends one WRITE of one range; resolves to the bytes written. */
export async function writeRange(
  file: OpenFile,
  position: number | null,
  parts: readonly Uint8Array[],
  how: { syncAfter: vamos.files.SyncKind; whole: boolean },
  options: StreamOptions,
): Promise<number> {
  const head = { handle: file.number, offsets: position === null ? [] : [position], ...how };
  return write(file, head, parts, options);
}

async function write(
  file: OpenFile,
  head: vamos.files.IWrite,
  parts: readonly Uint8Array[],
  options: StreamOptions,
): Promise<number> {
  const lengths = head.offsets?.length ? (head.lengths ?? [sumBytes(parts)]) : [];
  const body = encodeWrite({ ...head, lengths }, parts);
  const sending = file.appends ? { ...options, isCommit: true } : options;
  const reply = await file.requests.send(Method.WRITE, body, { syscall: 'write' }, sending);
  return vamos.files.Written.decode(reply).bytes;
}

export interface WriteRange {
  /** null: at the file's own position (its end, where it was opened to append). */
  position: number | null;
  sync: vamos.files.SyncKind;
  encoding?: BufferEncoding;
}

/**
 * Writes all of the source in pieces, one after another, so that a failure leaves no gap. The last piece is
 * synced. `atLast` runs in the turn in which the last piece is sent, so that what it sends goes in the same
 * frame.
 */
export async function writeAll(
  file: OpenFile,
  source: WriteSource,
  { position, sync, encoding }: WriteRange,
  clock: () => StreamOptions,
  atLast?: () => Promise<void>,
): Promise<void> {
  let at = position;
  async function send(parts: readonly Uint8Array[], syncAfter: vamos.files.SyncKind): Promise<void> {
    const from = at;
    if (at !== null) at += sumBytes(parts);
    await writeRange(file, from, parts, { syncAfter, whole: true }, clock());
  }
  let held: Uint8Array[] | undefined;
  const pieces = isWhole(source)
    ? cut(toBytes(source, encoding), file.requests.pieceBytes)
    : gather(source, file.requests.pieceBytes, encoding);
  for await (const parts of pieces) {
    if (held) await send(held, SyncKind.NO_SYNC);
    held = parts;
  }
  await Promise.all([send(held ?? [], sync), atLast?.()]);
}

function isWhole(source: WriteSource): source is string | ArrayBufferView {
  return typeof source === 'string' || ArrayBuffer.isView(source);
}

function* cut(bytes: Uint8Array, pieceBytes: number): Generator<Uint8Array[]> {
  for (let at = 0; at < bytes.length; at += pieceBytes) yield [bytes.subarray(at, at + pieceBytes)];
}

async function* gather(
  source: Iterable<string | ArrayBufferView> | AsyncIterable<string | ArrayBufferView>,
  pieceBytes: number,
  encoding?: BufferEncoding,
): AsyncGenerator<Uint8Array[]> {
  let parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of source) {
    for (const [part] of cut(toBytes(chunk, encoding), pieceBytes)) {
      if (bytes + part!.length > pieceBytes) {
        yield parts;
        parts = [];
        bytes = 0;
      }
      parts.push(part!);
      bytes += part!.length;
    }
  }
  if (parts.length > 0) yield parts;
}

export interface Piece {
  /** The number of the caller's range that it belongs to. */
  range: number;
  position: number;
  /** Where it begins in that range. */
  offset: number;
  lengthBytes: number;
}

/** Groups the pieces of ranges into requests, as many as fit each. */
export function* toRequests(
  ranges: readonly { position: number; lengthBytes: number }[],
  pieceBytes: number,
): Generator<Piece[]> {
  let pieces: Piece[] = [];
  let bytes = 0;
  for (const [range, { position, lengthBytes }] of ranges.entries()) {
    for (let offset = 0; offset === 0 || offset < lengthBytes;) {
      if (bytes === pieceBytes || pieces.length === FILES_MAX_RANGES) {
        yield pieces;
        pieces = [];
        bytes = 0;
      }
      const length = Math.min(lengthBytes - offset, pieceBytes - bytes);
      pieces.push({ range, position: position + offset, offset, lengthBytes: length });
      bytes += length;
      offset += Math.max(length, 1);
    }
  }
  if (pieces.length > 0) yield pieces;
}

export async function readPieces(
  file: OpenFile,
  pieces: readonly Piece[],
  options: StreamOptions,
): Promise<Uint8Array[]> {
  const body = vamos.files.Read.encode({
    handle: file.number,
    offsets: pieces.map((piece) => piece.position),
    lengths: pieces.map((piece) => piece.lengthBytes),
  }).finish();
  const reply = await file.requests.send(Method.READ, body, { syscall: 'read' }, options);
  return splitRead(reply, pieces.length);
}

export async function writePieces(
  file: OpenFile,
  pieces: readonly Piece[],
  data: readonly Uint8Array[],
  syncAfter: vamos.files.SyncKind,
  options: StreamOptions,
): Promise<void> {
  const head = {
    handle: file.number,
    offsets: pieces.map((piece) => piece.position),
    lengths: pieces.map((piece) => piece.lengthBytes),
    syncAfter,
    whole: true,
  };
  const parts = pieces.map((piece) =>
    data[piece.range]!.subarray(piece.offset, piece.offset + piece.lengthBytes),
  );
  await write(file, head, parts, options);
}

export function sumBytes(parts: readonly Uint8Array[]): number {
  return parts.reduce((sum, part) => sum + part.length, 0);
}
