/**
 * What travels together. A frame is one kick of the channel's virtqueue, whatever is in it: what one turn of the event loop asks
 * for goes in one frame.
 */
import { connect, defineTable, t } from 'vamos/guest';

const READINGS = defineTable({
  name: 'readings',
  columns: { sensor: t.uint32(), value: t.uint32() },
  primaryKey: ['sensor'],
});
const SENSORS = 100;

await using vamos = await connect(process.argv[2] ?? 'local:./data');
const readings = await vamos.tables.openOrCreate(READINGS);
await readings.writeRows(Array.from({ length: SENSORS }, (_, sensor) => ({ sensor, value: sensor % 7 })));

async function counted(what: string, run: () => Promise<unknown>): Promise<void> {
  const before = { ...vamos.counters };
  await run();
  const { requests, requestFrames } = vamos.counters;
  console.log(
    `${what}: ${requests - before.requests} requests, ${requestFrames - before.requestFrames} frames`,
  );
}

await counted('one after the other', async () => {
  for (let sensor = 0; sensor < 10; sensor++) await readings.get({ sensor });
});
await counted('in one turn', async () => {
  await Promise.all(Array.from({ length: 10 }, (_, sensor) => readings.get({ sensor })));
});
await counted('in one request', async () => {
  await readings.getMany(Array.from({ length: 10 }, (_, sensor) => ({ sensor })));
});
await counted('summed up on the host', async () => {
  await readings.aggregate({ sum: ['value'] });
});
