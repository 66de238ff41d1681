import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { VamosError } from '../../src/protocol/errors.js';
import { Method, startRig, text, u32, until } from './probe.js';

/** One call of the random program. */
const action = fc.record({
  stream: fc.nat(5),
  kind: fc.constantFrom('echo', 'later', 'sleep', 'fail', 'wait', 'chain'),
  timeoutMs: fc.constantFrom(0, 0, 0, 1, 5),
  /** Turns after the call at which it is aborted; 0: never. */
  abortAfter: fc.constantFrom(0, 0, 0, 1, 2, 3),
  /** Turns to let pass before the next call. */
  turns: fc.nat(2),
});

test('random calls with delays, deadlines and aborts settle once each, in the order of their stream', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(action, { minLength: 1, maxLength: 60 }), async (actions) => {
      await using rig = await startRig({ server: { requestWindowBytes: 16_384, maxFrameBytes: 2048 } });
      const streams = Array.from({ length: 6 }, () => rig.client.stream());
      /** Calls in the order in which they settled. */
      const settled: { stream: number; number: number; outcome: string }[] = [];
      const calls = [];
      for (const [number, { stream: index, kind, timeoutMs, abortAfter, turns }] of actions.entries()) {
        const stream = streams[index]!;
        const controller = new AbortController();
        // Calls that would wait for ever get a deadline.
        const options = { timeoutMs: kind === 'wait' ? 10 : timeoutMs, signal: controller.signal };
        const body = u32(kind === 'sleep' ? number % 4 : number);
        const later = { method: Method.ECHO_LATER, body };
        const call = {
          echo: () => stream.call(Method.ECHO, body, options),
          later: () => stream.call(Method.ECHO_LATER, body, options),
          sleep: () => stream.call(Method.SLEEP, body, options),
          fail: () => stream.call(Method.FAIL, body, options),
          wait: () => stream.call(Method.WAIT, body, options),
          chain: () => stream.chain([later, later], options),
        }[kind]();
        calls.push(
          call.then(
            (answer: Uint8Array | Uint8Array[]) => {
              for (const each of [answer].flat()) expect(text(each)).toBe(text(body));
              settled.push({ stream: index, number, outcome: 'ok' });
            },
            (error: unknown) => {
              settled.push({ stream: index, number, outcome: (error as VamosError).code });
            },
          ),
        );
        if (abortAfter > 0) void turn(abortAfter).then(() => controller.abort());
        await turn(turns);
      }
      await Promise.all(calls);

      expect(settled).toHaveLength(actions.length);
      for (let index = 0; index < streams.length; index++) {
        // A call that its caller gave up settles early; all others in order.
        const answered = settled.filter(
          ({ stream, outcome }) => stream === index && (outcome === 'ok' || outcome === 'DUPLICATE_KEY'),
        );
        expect(answered.map(({ number }) => number)).toEqual(
          answered.map(({ number }) => number).sort((a, b) => a - b),
        );
      }
      const outcomes = new Set(settled.map(({ outcome }) => outcome));
      for (const outcome of outcomes) {
        expect(['ok', 'DUPLICATE_KEY', 'CANCELLED', 'DEADLINE_EXCEEDED']).toContain(outcome);
      }
      expect(rig.client.counters.reconnects).toBe(0);
      // Everything was released: nothing runs, waits or is owed.
      await rig.client.stream().call(Method.ECHO, u32(0));
      await until(() => rig.server.statistics().sessions[0]?.streams === 0, 'the host to end all requests');
      expect(rig.server.statistics().sessions).toMatchObject([{ running: 0, parked: 0 }]);
    }),
    { numRuns: 60 },
  );
});

async function turn(count: number): Promise<void> {
  for (let left = count; left > 0; left--) await new Promise((resolve) => setImmediate(resolve));
}
