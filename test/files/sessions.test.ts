import { readdirSync } from 'node:fs';
import * as node from 'node:fs/promises';
import { setImmediate } from 'node:timers/promises';
import { describe, expect, it, vi } from 'vitest';
import { connect } from '../../entry/guest.js';
import { Files } from '../../guest/files/index.js';
import { openFilesModule } from '../../host/modules/files/module.js';
import type { VamosError } from '../../src/protocol/errors.js';
import { until } from '../rpc/probe.js';
import { failure, Place } from './place.js';

describe('files', () => {
  it(
    'lose their handles with the session, and work again in the next one',
    { timeout: 180_000 },
    async () => {
      await using place = await Place.make('split');
      const { files } = place;
      const handle = await files.open('file', 'w+');
      await handle.write('kept', { sync: 'all' });
      await place.restartHost();
      // The result does not depend on the session in which it is sent.
      expect((await failure(handle.read(Buffer.alloc(4), 0, 4, 0))).code).toBe('SESSION_LOST');
      await vi.waitFor(async () => expect(await files.readFile('file', 'utf8')).toBe('kept'), {
        timeout: 50_000,
      });
      await using other = await files.open('other', 'w+');
      await other.write('other');
      for (const call of [handle.write('x'), handle.sync(), handle.stat(), handle.readFile()]) {
        expect((await failure(call)).code).toBe('SESSION_LOST');
      }
      await handle.close();
      expect(await node.readFile(place.on('other'), 'utf8')).toBe('other');
    },
  );

  it(
    'say of an append that its session left unanswered that it may be done, and lose or repeat none',
    {
      timeout: 60_000,
    },
    async () => {
      await using place = await Place.make('split');
      const { files } = place;
      const handle = await files.open('log', 'a');
      const outcomes = new Map<number, string>();
      let lastNumber = 0;
      let isKilled = false;
      const append = async (number: number): Promise<void> => {
        const line = `${number}\n`;
        if (number % 2) await files.appendFile('log', line, { flush: true });
        else await handle.appendFile(line, { flush: true });
      };
      const appending = Array.from({ length: 20 }, async () => {
        while (!isKilled) {
          const number = ++lastNumber;
          const outcome = await append(number).then(
            () => 'done',
            (error: unknown) => (error as VamosError).code,
          );
          outcomes.set(number, outcome);
          isKilled ||= outcome !== 'done';
        }
      });
      while (lastNumber < 60) await setImmediate();
      await place.restartHost();
      await Promise.all(appending);
      expect([...outcomes.values()]).toContain('OUTCOME_UNKNOWN');
      const written = (await files.readFile('log', 'utf8')).split('\n');
      for (const [number, outcome] of outcomes.entries()) {
        const times = written.filter((line) => line === `${number}`).length;
        if (outcome === 'done') expect(times).toBe(1);
        else if (outcome === 'SESSION_LOST') expect(times).toBe(0);
        else expect(outcome).toBe('OUTCOME_UNKNOWN');
      }
    },
  );

  it('keep their descriptors no longer than the session', async () => {
    const place = await Place.make('unsplit');
    const descriptors = (): number => readdirSync('/proc/self/fd').length;
    const before = descriptors();
    await Promise.all(Array.from({ length: 50 }, (_, index) => place.files.open(`${index}`, 'w')));
    expect(descriptors()).toBeGreaterThanOrEqual(before + 50);
    expect(place.module!.statistics().handlesOpen).toBe(50);
    await place.client.close();
    await until(() => descriptors() < before + 50 && place.module!.statistics().handlesOpen === 0);
    await place[Symbol.asyncDispose]();
  });

  it('of two streams do not wait for one another and share no handles', async () => {
    await using place = await Place.make('unsplit');
    const other = new Files(place.client.stream());
    await using one = await place.files.open('file', 'w+');
    await using two = await other.open('file', 'w+');
    await Promise.all([one.write('one', 0), two.write('two', 3)]);
    expect(await other.readFile('file', 'utf8')).toBe('onetwo');
    await expect(other.sync([one])).rejects.toMatchObject({ code: 'EBADF' });
  });

  it('move large files and directories through the smallest reply window', async () => {
    await using place = await Place.make('unsplit', { replyWindowBytes: 1 });
    const data = Buffer.alloc(3_000_000, 'data');
    await place.files.writeFile('file', data);
    expect((await place.files.readFile('file')).equals(data)).toBe(true);
    await using handle = await place.files.open('file', 'r+');
    expect((await handle.write(data, { position: 1 })).bytesWritten).toBe(data.length);
    expect((await handle.read(Buffer.alloc(data.length + 9), { position: 1 })).bytesRead).toBe(data.length);
    const ranges = [0, 1, 2].map((index) => ({ position: index * 1_000_000 + 1, length: 1_000_000 }));
    expect(Buffer.concat(await handle.readRanges(ranges)).equals(data)).toBe(true);
    const names = Array.from({ length: 1000 }, (_, index) => `${index}`.padStart(200, 'n'));
    await node.mkdir(place.on('dir'));
    await Promise.all(names.map((name) => node.writeFile(place.on('dir', name), '')));
    expect(await place.files.readdir('dir')).toEqual(names.sort());
  });

  it('of the embedded host half lie in the folder files of its root', async () => {
    await using place = await Place.make('unsplit');
    await using vamos = await connect(`local:${place.base}/embedded`);
    await vamos.files.writeFile('file', 'x');
    expect(await node.readFile(`${place.base}/embedded/files/file`, 'utf8')).toBe('x');
  });

  it('count what they do', async () => {
    await using place = await Place.make('unsplit');
    await place.files.writeFile('file', 'x'.repeat(1000), { flush: true });
    await place.files.readFile('file');
    await failure(place.files.readFile('none'));
    expect(place.module!.statistics()).toEqual({
      handlesOpen: 0,
      filesOpened: 2,
      reads: 1,
      writes: 1,
      syncs: 1,
      bytesRead: 1000,
      bytesWritten: 1000,
      // These are the open, and the read of the file that did not open.
      failures: 2,
    });
  });

  it('make their root, and say which one does not open', async () => {
    await using place = await Place.make('unsplit');
    const module = await openFilesModule({ root: `${place.base}/new/root` });
    await module.close();
    expect((await node.stat(`${place.base}/new/root`)).isDirectory()).toBe(true);
    await node.writeFile(`${place.base}/file`, '');
    const error = await failure(openFilesModule({ root: `${place.base}/file/root` }));
    expect(error).toMatchObject({ code: 'FILE_FAILED', detail: Buffer.from('ENOTDIR') });
    expect(error.message).toContain(`${place.base}/file/root`);
  });
});
