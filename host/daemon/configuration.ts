import { readFileSync } from 'node:fs';
import path from 'node:path';
import { LineCounter, parseDocument, type Document, type Node } from 'yaml';
import { z } from 'zod';
import { VamosError } from '../../src/protocol/errors.js';
import { defaultBlockCacheBytes } from '../modules/tables/block_cache.js';
import { parseAddress } from '../../src/channel/index.js';
import { DEFAULT_MAX_STREAMS } from '../../src/protocol/generated/limits.js';

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;
const UNITS: Record<string, number> = { '': 1, B: 1, KiB: KIB, MiB: MIB, GiB: GIB };

/** An object schema that refuses unknown keys and says which keys it knows. */
function strict<Shape extends z.ZodRawShape>(shape: Shape) {
  return z.strictObject(shape, {
    error: (issue) => {
      if (issue.code === 'unrecognized_keys') {
        return `unknown key ${issue.keys.map((key) => `'${key}'`).join(', ')}; expected ${Object.keys(shape).join(', ')}`;
      }
      return `expected a map with ${Object.keys(shape).join(', ')}`;
    },
  });
}

/** A schema for sizes in bytes: a number, or a text such as `64MiB`. */
function bytes(least: number, most: number) {
  const error = `expected a size from ${formatBytes(least)} to ${formatBytes(most)}, such as 64MiB or a number of bytes`;
  return z.preprocess(
    (value) => {
      const match = typeof value === 'string' ? /^(\d+(?:\.\d+)?)\s*(B|KiB|MiB|GiB|)$/.exec(value) : null;
      return match ? Math.round(Number(match[1]) * (UNITS[match[2] ?? ''] ?? 1)) : value;
    },
    z.int({ error }).min(least, { error }).max(most, { error }),
  );
}

function whole(least: number, most: number) {
  const error = `expected a whole number from ${least} to ${most}`;
  return z.int({ error }).min(least, { error }).max(most, { error });
}

function text(what: string, pattern: RegExp) {
  const error = `expected ${what}`;
  return z.string({ error }).regex(pattern, { error });
}

const pathText = text('a path', /^[^\0]+$/);

const limits = strict({
  memoryBytes: bytes(128 * MIB, 1024 * GIB).default(2 * GIB),
  blockCacheBytes: bytes(MIB, 512 * GIB).optional(),
  cacheBytes: bytes(0, 512 * GIB).default(0),
  maxTransactionBytes: bytes(64 * KIB, 64 * GIB).default(256 * MIB),
  maxFrameBytes: bytes(2 * MIB, 16 * MIB).default(4 * MIB),
  windowBytes: bytes(4 * MIB, GIB).default(16 * MIB),
  streams: whole(1, 1_000_000).default(DEFAULT_MAX_STREAMS),
  fileHandles: whole(1, 100_000).default(1024),
  threads: whole(1, 64).default(4),
}).transform((given) => ({
  ...given,
  blockCacheBytes: given.blockCacheBytes ?? defaultBlockCacheBytes(given.memoryBytes),
}));

/**
 * Reads all that is stored, again and again, so that damage of the disk is found while there still is a
 * backup to restore.
 */
const scrub = strict({
  bytesPerSecond: bytes(64 * KIB, 16 * GIB).default(4 * MIB),
  intervalHours: z
    .number({ error: 'expected a number of hours from 0 to 8760' })
    .min(0, { error: 'expected a number of hours from 0 to 8760' })
    .max(8760, { error: 'expected a number of hours from 0 to 8760' })
    .default(168),
});

const channel = z.preprocess(
  (value) => (typeof value === 'string' ? { address: value } : value),
  strict({
    address: z.string({ error: 'expected a channel address' }).superRefine((address, context) => {
      try {
        if (parseAddress(address).transport === 'local') {
          throw new VamosError('BAD_ADDRESS', `channel address '${address}': local: has no daemon`);
        }
      } catch (error) {
        context.addIssue({ code: 'custom', message: (error as Error).message });
      }
    }),
    own: z.enum(['qemu', 'daemon'], { error: "expected 'qemu' or 'daemon'" }).default('qemu'),
  }),
);

const token = text('a token of 1 to 1024 bytes', /^[^\0]{1,1024}$/);

/** The settings of one guest. */
export const guestSchema = strict({
  root: pathText,
  channels: z
    .array(channel, { error: 'expected a list of channel addresses' })
    .min(1, { error: 'expected at least one channel address' }),
  token: token.optional(),
  tokenFile: pathText.optional(),
  user: text('a user name or UID:GID', /^([a-z_][a-z0-9_-]*\$?|\d+:\d+)$/i).optional(),
  limits: limits.prefault({}),
  scrub: scrub.prefault({}),
});

export const guestNameSchema = text(
  'a guest name: 1 to 63 letters, digits, dots, dashes and underscores, the first one a letter or digit',
  /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/,
);

const configurationSchema = strict({
  control: pathText.optional(),
  metrics: text("an address 'HOST:PORT' or a port", /^((\[[0-9a-f:]+\]|[^\s:[\]]+):)?\d{1,5}$/i).optional(),
  logLevel: z
    .enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal'], {
      error: 'expected trace, debug, info, warn, error or fatal',
    })
    .default('info'),
  stateDirectory: pathText.optional(),
  stopMs: whole(100, 600_000).default(10_000),
  restart: strict({
    firstMs: whole(1, 600_000).default(200),
    longestMs: whole(1, 3_600_000).default(30_000),
    healthyMs: whole(1, 3_600_000).default(60_000),
    failedMs: whole(1, 3_600_000).default(60_000),
  }).prefault({}),
  guests: z
    .preprocess(
      (value) => value ?? {},
      z.record(guestNameSchema, guestSchema, { error: 'expected a map of guest names to guests' }),
    )
    .prefault({}),
});

export type GuestConfiguration = z.output<typeof guestSchema>;
export type GuestLimits = GuestConfiguration['limits'];
/** A whole configuration; example.yaml beside this file documents every key. */
export type Configuration = z.output<typeof configurationSchema>;

/** Unchecked settings, without the guests. */
export type Settings = Partial<Record<Exclude<keyof Configuration, 'guests'>, unknown>>;

export function formatBytes(count: number): string {
  for (const [unit, size] of [
    ['GiB', GIB],
    ['MiB', MIB],
    ['KiB', KIB],
  ] as const) {
    if (count >= size) return `${Math.round((count / size) * 10) / 10}${unit}`;
  }
  return `${count}B`;
}

/**
 * Checks and completes a value against a schema.
 * @param where gives an issue's place for the message, for instance `host.yaml:12: guests.web.root`
 * @throws VamosError BAD_CONFIGURATION with a line for each issue: where it is and what is expected
 */
export function check<Output>(
  schema: z.ZodType<Output>,
  value: unknown,
  where: (keys: PropertyKey[]) => string,
): Output {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const lines = result.error.issues.map((issue) => {
    // A bad key of a record carries an issue of its own, which says what is expected.
    const message =
      issue.code === 'invalid_key' ? (issue.issues[0]?.message ?? issue.message) : issue.message;
    return `${where(issue.path)}: ${message}`;
  });
  throw new VamosError('BAD_CONFIGURATION', lines.join('\n'));
}

/**
 * Reads, checks and completes a configuration file. Its relative paths begin at its folder.
 * @param overrides settings that come before the file's
 * @throws VamosError BAD_CONFIGURATION
 */
export function loadConfiguration(file: string, overrides: Settings = {}): Configuration {
  const lines = new LineCounter();
  const document = parseDocument(readText(file, 'configuration'), { lineCounter: lines });
  const problem = document.errors[0] ?? document.warnings[0];
  if (problem)
    throw new VamosError('BAD_CONFIGURATION', `${file}: not valid YAML: ${problem.message.trimEnd()}`);
  const where = (keys: PropertyKey[]) => {
    const line = lineOf(document, lines, keys);
    return [line === undefined ? file : `${file}:${line}`, ...(keys.length ? [keys.join('.')] : [])].join(
      ': ',
    );
  };
  const configuration = check(configurationSchema, overriding(document.toJS(), overrides), where);
  return complete(configuration, path.dirname(path.resolve(file)), where);
}

/**
 * Makes a configuration from values, such as those of command-line options. Relative paths begin at the
 * working directory.
 */
export function makeConfiguration(value: Settings & { guests: Record<string, unknown> }): Configuration {
  const where = (keys: PropertyKey[]) => keys.join('.') || 'options';
  return complete(check(configurationSchema, value, where), process.cwd(), where);
}

/** Checks the configuration of one guest that is added to a running daemon. */
export function makeGuest(name: unknown, value: unknown): { name: string; guest: GuestConfiguration } {
  const where = (keys: PropertyKey[]) => ['guest', ...keys].join('.');
  const checkedName = check(guestNameSchema, name, () => 'name');
  return {
    name: checkedName,
    guest: completeGuest(check(guestSchema, value, where), process.cwd(), 'guest'),
  };
}

/**
 * Checks that no two guests share a root or a channel.
 * @throws VamosError BAD_CONFIGURATION
 */
export function checkApart(guests: Record<string, GuestConfiguration>): void {
  const entries = Object.entries(guests);
  for (const [index, [name, guest]] of entries.entries()) {
    for (const [other, otherGuest] of entries.slice(0, index)) {
      if (isWithin(guest.root, otherGuest.root) || isWithin(otherGuest.root, guest.root)) {
        throw new VamosError(
          'BAD_CONFIGURATION',
          `guests.${name}.root: expected a folder of its own, but ${guest.root} and ${otherGuest.root} of guest ${other} overlap`,
        );
      }
      const taken = new Set(otherGuest.channels.map(({ address }) => address));
      const shared = guest.channels.find(({ address }) => taken.has(address));
      if (shared) {
        throw new VamosError(
          'BAD_CONFIGURATION',
          `guests.${name}.channels: ${shared.address} belongs to guest ${other} already`,
        );
      }
    }
    const own = guest.channels.map(({ address }) => address);
    const twice = own.find((address, position) => own.indexOf(address) !== position);
    if (twice)
      throw new VamosError('BAD_CONFIGURATION', `guests.${name}.channels: ${twice} stands there twice`);
  }
}

function complete(
  configuration: Configuration,
  folder: string,
  where: (keys: PropertyKey[]) => string,
): Configuration {
  const guests = Object.fromEntries(
    Object.entries(configuration.guests).map(([name, guest]) => [
      name,
      completeGuest(guest, folder, where(['guests', name])),
    ]),
  );
  checkApart(guests);
  const { control, stateDirectory } = configuration;
  return {
    ...configuration,
    guests,
    ...(control === undefined ? {} : { control: path.resolve(folder, control) }),
    ...(stateDirectory === undefined ? {} : { stateDirectory: path.resolve(folder, stateDirectory) }),
  };
}

function completeGuest(guest: GuestConfiguration, folder: string, where: string): GuestConfiguration {
  const { tokenFile, ...rest } = guest;
  const completed = { ...rest, root: path.resolve(folder, guest.root) };
  if (tokenFile === undefined) return completed;
  if (guest.token !== undefined) {
    throw new VamosError('BAD_CONFIGURATION', `${where}: expected token or tokenFile, not both`);
  }
  const content = readText(path.resolve(folder, tokenFile), 'token').trimEnd();
  return { ...completed, token: check(token, content, () => `${where}.tokenFile: ${tokenFile}`) };
}

function overriding(value: unknown, overrides: Settings): unknown {
  // An empty file is an empty map. Whatever else is no map is refused by the schema.
  if (value === null) return overrides;
  return typeof value === 'object' && !Array.isArray(value) ? { ...value, ...overrides } : value;
}

function readText(file: string, what: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw new VamosError('BAD_CONFIGURATION', `${what} file ${file}: ${(cause as Error).message}`, { cause });
  }
}

/** Returns the line of the value, or of the nearest value around it. */
function lineOf(document: Document, lines: LineCounter, keys: PropertyKey[]): number | undefined {
  for (let length = keys.length; length > 0; length -= 1) {
    const node = document.getIn(keys.slice(0, length), true) as Node | undefined;
    if (node?.range) return lines.linePos(node.range[0]).line;
  }
  return undefined;
}

function isWithin(inner: string, outer: string): boolean {
  const relative = path.relative(outer, inner);
  return relative !== '..' && !relative.startsWith('../');
}
