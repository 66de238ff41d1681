/** Workers that take jobs from a table, in their order. None is done twice, and one that dies gives its job back. */
import { connect, defineTable, t } from 'vamos/guest';

const JOBS = defineTable({
  name: 'jobs',
  columns: { id: t.uint64(), task: t.text() },
  primaryKey: ['id'],
  autoIncrement: 'id',
});
const WORKERS = 4;
const COUNT = 20;

await using vamos = await connect(process.argv[2] ?? 'local:./data');
const jobs = await vamos.tables.openOrCreate(JOBS);
await jobs.writeRows(Array.from({ length: COUNT }, (_, number) => ({ task: `task ${number}` })));

/** Takes the first job that no other worker has. Its lock is held until the job is gone. */
async function takeJob(done: string[]): Promise<boolean> {
  return vamos.tables.transaction(async (transaction) => {
    const rows = transaction.table(jobs);
    for await (const job of rows.rndScan({ lock: 'exclusive', wait: 'skip-locked', limit: 1 })) {
      await rows.deleteRow(job);
      done.push(job.task);
      return true;
    }
    return false;
  });
}

async function work(): Promise<string[]> {
  const done: string[] = [];
  while (await takeJob(done));
  return done;
}

const done = (await Promise.all(Array.from({ length: WORKERS }, work))).flat();
console.log(`${done.length} jobs were done, ${new Set(done).size} of them different`);
const { count } = await jobs.aggregate({});
console.log(`${count} jobs are left`);
