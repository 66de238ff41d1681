import { writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { loadConfiguration, makeConfiguration } from '../../host/daemon/configuration.js';
import { packageRoot } from '../../src/native.js';
import { VamosError } from '../../src/protocol/errors.js';
import { Folder } from '../../lab/daemon/daemon.js';

let folder: Folder;
beforeEach(() => {
  folder = new Folder();
});
afterEach(() => {
  folder[Symbol.dispose]();
});

function load(text: string) {
  const file = folder.file('host.yaml');
  writeFileSync(file, text);
  return loadConfiguration(file);
}

/** Returns the message without the folder's name, which changes from run to run. */
function refusal(text: string): string {
  try {
    load(text);
  } catch (error) {
    expect(error).toBeInstanceOf(VamosError);
    expect((error as VamosError).code).toBe('BAD_CONFIGURATION');
    return (error as VamosError).message.replaceAll(`${folder.path}/`, '');
  }
  throw new Error('it was accepted');
}

const guest = (settings: string) =>
  `guests:\n  web:\n    root: web\n    channels: [unix:/x]\n    ${settings}\n`;

test('the example file is valid but for the token file that it names', () => {
  const example = path.join(packageRoot, 'host/daemon/example.yaml');
  expect(() => loadConfiguration(example)).toThrow('token file /etc/vamos/orders.token: ENOENT');
});

test('an empty file is a daemon without guests, with all defaults', () => {
  expect(load('')).toEqual({
    logLevel: 'info',
    stopMs: 10_000,
    restart: { firstMs: 200, longestMs: 30_000, healthyMs: 60_000, failedMs: 60_000 },
    guests: {},
  });
});

test('a guest gets defaults, sizes with units, and paths from the folder of the file', () => {
  writeFileSync(folder.file('token'), 'secret\n');
  const { guests, control } = load(
    `control: c.sock\n${guest('tokenFile: token\n    limits: {blockCacheBytes: 1.5GiB, threads: 2}')}`,
  );
  expect(control).toBe(folder.file('c.sock'));
  expect(guests.web).toMatchObject({
    root: folder.file('web'),
    channels: [{ address: 'unix:/x', own: 'qemu' }],
    token: 'secret',
    limits: { blockCacheBytes: 1.5 * 2 ** 30, threads: 2, streams: 10_000, cacheBytes: 0 },
  });
  expect(guests.web).not.toHaveProperty('tokenFile');
});

test("the block cache follows the machine's memory, within what the worker may use", () => {
  const cacheBytes = (limits: string): number =>
    load(guest(`limits: ${limits}`)).guests.web!.limits.blockCacheBytes;
  const sixteenth = Math.max(64 * 2 ** 20, Math.floor(os.totalmem() / 16));
  // A control group may give this process less than the machine has.
  expect(cacheBytes('{memoryBytes: 1024GiB}')).toBeLessThanOrEqual(sixteenth);
  expect(cacheBytes('{memoryBytes: 1024GiB}')).toBeGreaterThanOrEqual(64 * 2 ** 20);
  expect(cacheBytes('{memoryBytes: 128MiB}')).toBe(32 * 2 ** 20);
});

test.each([
  ['no YAML', 'guests: [', /^host\.yaml: not valid YAML: .*at line 1/s],
  ['a key twice', 'metrics: 1\nmetrics: 2', /^host\.yaml: not valid YAML: Map keys must be unique at line 2/],
  ['no map', '- a', /^host\.yaml: expected a map with control, metrics, /],
  [
    'an unknown setting',
    'a: 1\nmetric: 9464',
    /^host\.yaml: unknown key 'a', 'metric'; expected control, metrics, /,
  ],
  [
    'a bad log level',
    '\nlogLevel: loud',
    /^host\.yaml:2: logLevel: expected trace, debug, info, warn, error or fatal$/,
  ],
  [
    'a bad metrics address',
    'metrics: here',
    /^host\.yaml:1: metrics: expected an address 'HOST:PORT' or a port$/,
  ],
  ['a bad time', 'stopMs: soon', /^host\.yaml:1: stopMs: expected a whole number from 100 to 600000$/],
  [
    'a bad restart time',
    'restart: {firstMs: 0}',
    /^host\.yaml:1: restart\.firstMs: expected a whole number from 1 /,
  ],
  [
    'guests that are no map',
    'guests: [web]',
    /^host\.yaml:1: guests: expected a map of guest names to guests$/,
  ],
  [
    'a bad guest name',
    'guests:\n  "a/b": {root: a, channels: [unix:/x]}',
    /^host\.yaml:\d: guests\.a\/b: expected a guest name: /,
  ],
  [
    'a guest without a root',
    'guests:\n  a:\n    channels: [unix:/x]',
    /^host\.yaml:3: guests\.a\.root: expected a path$/,
  ],
  [
    'a guest without channels',
    'guests:\n  a:\n    root: a',
    /^host\.yaml:3: guests\.a\.channels: expected a list of channel addresses$/,
  ],
  [
    'an empty list of channels',
    'guests:\n  a:\n    root: a\n    channels: []',
    /^host\.yaml:4: guests\.a\.channels: expected at least one channel address$/,
  ],
  [
    'an unknown key of a guest',
    guest('tokn: x'),
    /^host\.yaml:3: guests\.web: unknown key 'tokn'; expected root, channels, token, /,
  ],
  [
    'an unknown limit',
    guest('limits: {cpu: 1}'),
    /^host\.yaml:5: guests\.web\.limits: unknown key 'cpu'; expected memoryBytes, /,
  ],
  [
    'a size without sense',
    guest('limits: {memoryBytes: lots}'),
    /^host\.yaml:5: guests\.web\.limits\.memoryBytes: expected a size from 128MiB to 1024GiB, such as 64MiB or a number of bytes$/,
  ],
  [
    'a size out of range',
    guest('limits: {maxFrameBytes: 1GiB}'),
    /^host\.yaml:5: guests\.web\.limits\.maxFrameBytes: expected a size from 2MiB to 16MiB, /,
  ],
  ['a bad user', guest('user: "a b"'), /^host\.yaml:5: guests\.web\.user: expected a user name or UID:GID$/],
  [
    'an empty token',
    guest('token: ""'),
    /^host\.yaml:5: guests\.web\.token: expected a token of 1 to 1024 bytes$/,
  ],
  [
    'a token that is a number',
    guest('token: 17'),
    /^host\.yaml:5: guests\.web\.token: expected a token of 1 to 1024 bytes$/,
  ],
  [
    'both token and token file',
    guest('token: a\n    tokenFile: b'),
    /guests\.web: expected token or tokenFile, not both$/,
  ],
  ['a token file that is missing', guest('tokenFile: b'), /^token file b: ENOENT/],
  [
    'an address of no kind',
    'guests:\n  a:\n    root: a\n    channels: [tcp:80]',
    /^host\.yaml:4: guests\.a\.channels\.0\.address: .*tcp:80/,
  ],
  [
    'a channel within the process',
    'guests:\n  a:\n    root: a\n    channels: ["local:/x"]',
    /^host\.yaml:4: guests\.a\.channels\.0\.address: .*local:/,
  ],
  [
    'a bad owner',
    'guests:\n  a:\n    root: a\n    channels: [{address: "unix:/x", own: me}]',
    /^host\.yaml:4: guests\.a\.channels\.0\.own: expected 'qemu' or 'daemon'$/,
  ],
  [
    'a root within another',
    `${guest('')}  b:\n    root: web/b\n    channels: [unix:/y]`,
    /^guests\.b\.root: expected a folder of its own, but web\/b and web of guest web overlap$/,
  ],
  [
    'a channel of two guests',
    `${guest('')}  b:\n    root: b\n    channels: [unix:/x]`,
    /^guests\.b\.channels: unix:\/x belongs to guest web already$/,
  ],
  [
    'a channel twice',
    'guests:\n  a:\n    root: a\n    channels: [unix:/x, unix:/x]',
    /^guests\.a\.channels: unix:\/x stands there twice$/,
  ],
])('%s is refused, with the place and what is expected', (_, text, message) => {
  expect(refusal(text)).toMatch(message);
});

test('all errors of a configuration are reported together, a line each', () => {
  expect(refusal('metrics: here\nlogLevel: loud').split('\n')).toHaveLength(2);
});

test('a file that is not there is named', () => {
  expect(() => loadConfiguration(folder.file('none.yaml'))).toThrow(
    `configuration file ${folder.file('none.yaml')}: ENOENT`,
  );
});

test('what the command line gives is checked by the same rules', () => {
  expect(() =>
    makeConfiguration({ guests: { web: { root: 'x', channels: ['unix:/x'], limits: { cpu: 1 } } } }),
  ).toThrow("guests.web.limits: unknown key 'cpu'");
});
