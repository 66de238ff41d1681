import { rm } from 'node:fs/promises';
import net from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { ErrorCode } from '../../src/protocol/errors.js';
import { Method } from '../rpc/probe.js';
import { Place } from './place.js';

const TIMEOUT_MS = 120_000;
const usual = { threads: 64, seconds: 0.5, method: Method.ECHO, bodyBytes: 100, timeoutMs: 20_000 };

function codesOf(errors: Record<string, number>): string[] {
  return Object.keys(errors).map((code) => ErrorCode[Number(code)] ?? code);
}

describe('threads of a native program that share one channel to a host', () => {
  it('have their own answers, and share frames', { timeout: TIMEOUT_MS }, async () => {
    await using place = new Place();
    await place.startHost();
    const report = await place.load(usual);
    expect(report).toMatchObject({ wrong: 0, errors: {}, reconnects: 0 });
    expect(report.answered).toBeGreaterThanOrEqual(64);
    expect(report.requestsPerFrame).toBeGreaterThan(2);
  });

  it('share more where they may gather', { timeout: TIMEOUT_MS }, async () => {
    await using place = new Place();
    await place.startHost();
    const report = await place.load({ ...usual, gatherUs: 200 });
    expect(report).toMatchObject({ wrong: 0, errors: {}, reconnects: 0 });
    expect(report.requestsPerFrame).toBeGreaterThan(2);
  });

  it('have bodies of any size', { timeout: TIMEOUT_MS }, async () => {
    await using place = new Place();
    await place.startHost();
    const report = await place.load({ ...usual, threads: 8, bodyBytes: 700_000, method: Method.ECHO_LATER });
    expect(report).toMatchObject({ wrong: 0, errors: {}, reconnects: 0 });
    expect(report.answered).toBeGreaterThanOrEqual(8);
  });

  it('go on with the next host when one is killed', { timeout: TIMEOUT_MS }, async () => {
    await using place = new Place();
    const host = await place.startHost();
    const loading = place.load({ ...usual, seconds: 0 });
    await place.waitUntilCalled(host);
    // Calls are then under way when it dies.
    host.kill('SIGSTOP');
    await delay(500);
    await place.killHost(host);
    await place.waitUntilCalled(await place.startHost());
    place.endLoad();
    const report = await loading;
    expect(report.wrong).toBe(0);
    expect(report.reconnects).toBeGreaterThanOrEqual(1);
    // These calls were under way when the host died. All others waited for the next host.
    expect(codesOf(report.errors)).toEqual(['SESSION_LOST']);
    expect(report.errors[ErrorCode.SESSION_LOST]).toBeLessThanOrEqual(64);
  });

  it(
    'end within their timeouts while the host stands still, and go on after',
    { timeout: TIMEOUT_MS },
    async () => {
      await using place = new Place();
      const host = await place.startHost();
      const loading = place.load({ ...usual, seconds: 6, timeoutMs: 500 });
      await place.waitUntilCalled(host);
      await delay(500);
      host.kill('SIGSTOP');
      await delay(2_500);
      host.kill('SIGCONT');
      const report = await loading;
      expect(report.wrong).toBe(0);
      expect(codesOf(report.errors)).toContain('DEADLINE_EXCEEDED');
      expect(report.longestMs).toBeGreaterThanOrEqual(500);
      expect(report.longestMs).toBeLessThan(10_000);
      expect(report.lastAnswerMs).toBeGreaterThan(3_600);
    },
  );

  it('fail in time where nobody serves the socket any more', { timeout: TIMEOUT_MS }, async () => {
    await using place = new Place();
    const host = await place.startHost();
    const loading = place.load({ ...usual, threads: 4, seconds: 4, timeoutMs: 3_000 });
    await place.waitUntilCalled(host);
    // Calls are then under way when it dies.
    host.kill('SIGSTOP');
    await delay(100);
    await place.killHost(host);
    const report = await loading;
    expect(report.wrong).toBe(0);
    expect(codesOf(report.errors).sort()).toEqual(['CHANNEL_ABSENT', 'SESSION_LOST']);
    expect(report.longestMs).toBeLessThan(10_000);
  });

  it(
    'survive a host that is replaced by something that talks nonsense',
    { timeout: TIMEOUT_MS },
    async () => {
      await using place = new Place();
      const host = await place.startHost();
      const loading = place.load({ ...usual, threads: 16, seconds: 0, timeoutMs: 300 });
      await place.waitUntilCalled(host);
      await place.killHost(host);
      const nonsense = net.createServer((socket) => {
        socket.on('error', () => undefined);
        socket.on('data', () => socket.write(Buffer.alloc(10_000, 'VAM1')));
      });
      // The socket file of a host that was killed is still there.
      await rm(place.socket);
      await new Promise<void>((resolve) => nonsense.listen(place.socket, resolve));
      await delay(1_500);
      // The connections that exist have been given up.
      await new Promise((resolve) => nonsense.close(resolve));
      await place.waitUntilCalled(await place.startHost());
      place.endLoad();
      const report = await loading;
      expect(report.wrong).toBe(0);
      expect(report.longestMs).toBeLessThan(10_000);
    },
  );
});
