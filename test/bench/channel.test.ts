import { expect, test } from 'vitest';
import { EchoHost } from '../../bench/channel/echo.js';
import { measureFigures } from '../../bench/channel/measure.js';
import { formatTable } from '../../bench/channel/table.js';
import type { Channel } from '../../src/channel/channel.js';
import { createLocalPair } from '../../src/channel/local.js';

test('16 requests in flight share frames with rpc, and go alone in the bare echo', async () => {
  const host = new EchoHost();
  const open = (): Promise<Channel> => {
    const [guestEnd, hostEnd] = createLocalPair();
    host.accept(hostEnd);
    return Promise.resolve(guestEnd);
  };
  const rpc = await measureFigures(open, 'rpc', 16);
  const bare = await measureFigures(open, 'bare', 16);
  await host.stop();
  expect(rpc.requestsPerFrame).toBeGreaterThan(12);
  expect(bare.requestsPerFrame).toBe(1);
  expect(rpc.roundTripsPerSecond).toBeGreaterThan(0);
  const [head, line] = formatTable([{ transport: 'local', inFlight: 16, rpc, bare }]).split('\n');
  expect(head).toContain('requests/frame');
  expect(line).toMatch(/^local +16 /);
});
