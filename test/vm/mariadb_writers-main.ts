/**
 * Runs in a guest with MariaDB: `node mariadb_writers-main.js REPORT-PORT`. As writers-main.ts, but each writer is a client of the
 * server, and makes a transaction again that the server rolled back. With a second argument `xa`, transactions of more than a row are
 * XA transactions.
 */
import { spawn } from 'node:child_process';
import { openSync, writeSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { freshBytes } from '../../src/channel/fresh_bytes.js';
import { WRITERS, formatReport } from './writers.js';

const END = 'end of the turn';
/** How often to run a transaction after the server's errors for a deadlock or a lost session. */
const ATTEMPTS = 4;

const usesXa = process.argv[3] === 'xa';
const port = openSync(`/dev/virtio-ports/${process.argv[2]}`, 'w');
await Promise.all(Array.from({ length: WRITERS }, (_, writer) => write(writer)));

type Result = { error: string } | { id: number; lines: string[] };

/** Runs statements up to the first that fails. @returns its error, or the id of the last row and what the last statement gave */
type Run = (statements: string[]) => Promise<Result>;

function openClient(): Run {
  // Both outputs in one pipe stay in order.
  const client = spawn(
    'sh',
    ['-c', 'exec mariadb --batch --skip-column-names --unbuffered --force test 2>&1'],
    {
      stdio: ['pipe', 'pipe', 'inherit'],
    },
  );
  client.once('exit', () => process.exit(1));
  const lines = createInterface({ input: client.stdout })[Symbol.asyncIterator]();
  const one = async (statement: string): Promise<Result> => {
    client.stdin.write(`${statement};\nSELECT '${END}', LAST_INSERT_ID();\n`);
    const given: string[] = [];
    for (let error: string | undefined; ;) {
      const line = String((await lines.next()).value);
      if (line.startsWith('ERROR ')) error = line;
      if (line.startsWith(END))
        return error === undefined ? { id: Number(line.slice(END.length)), lines: given } : { error };
      given.push(line);
    }
  };
  return async (statements) => {
    let last: Result = { id: 0, lines: [] };
    for (const statement of statements) {
      last = await one(statement);
      if ('error' in last) return last;
    }
    return last;
  };
}

/** Its own transaction, and what it had prepared in a state that is gone, which keeps its locks until it is found. */
async function rollBackXa(run: Run, prefix: string, xid: string): Promise<void> {
  const known = await run(['XA RECOVER']);
  const found = 'lines' in known ? known.lines.map((line) => line.split('\t').at(-1)!) : [];
  for (const each of [xid, ...found.filter((name) => name.startsWith(prefix))]) {
    await run([`XA END '${each}'`]);
    await run([`XA ROLLBACK '${each}'`]);
  }
}

async function write(writer: number): Promise<never> {
  const run = openClient();
  const prefix = `writer ${writer}, turn `;
  if (usesXa) await run(['SET SESSION vamos_lock_wait_timeout = 2']);
  for (let turn = 1; ; turn++) {
    // The commits of one turn, made again after the memory was put back, are different commits.
    const tag = Buffer.from(freshBytes(8)).toString('hex');
    const insert = `INSERT INTO notes (writer, turn, tag) VALUES (${writer}, ${turn}, '${tag}')`;
    const count = `UPDATE tallies SET counted = counted + 1 WHERE writer = ${writer}`;
    const xid = `${prefix}${turn}`;
    const begin = usesXa ? [`XA START '${xid}'`] : ['START TRANSACTION'];
    const commit = usesXa ? [`XA END '${xid}'`, `XA PREPARE '${xid}'`, `XA COMMIT '${xid}'`] : ['COMMIT'];
    const statements = writer % 2 === 0 ? [insert] : [...begin, count, insert, ...commit];
    const rollBack = async () => (usesXa ? rollBackXa(run, prefix, xid) : run(['ROLLBACK']));
    let result = await run(statements);
    for (let attempt = 1; attempt < ATTEMPTS && 'error' in result && isRolledBack(result.error); attempt++) {
      await rollBack();
      result = await run(statements);
    }
    const report =
      'id' in result ? { id: result.id, outcome: 'done' } : { id: 0, outcome: outcomeOf(result.error) };
    writeSync(port, formatReport({ writer, turn, tag, ...report }));
    if ('error' in result && writer % 2 === 1) await rollBack();
  }
}

/**
 * Says whether the transaction was rolled back, also where a host that has lost it gave no AUTO_INCREMENT
 * value (1467).
 */
function isRolledBack(error: string): boolean {
  return /^ERROR (1205 |1213 |1440 |1467 |1297 .*session)/.test(error);
}

/** Returns the outcome in the connector's codes. */
function outcomeOf(error: string): string {
  if (/Got (temporary )?error 2044 /.test(error)) return 'OUTCOME_UNKNOWN';
  if (isRolledBack(error)) return 'SESSION_LOST';
  process.stderr.write(`${error}\n`);
  return 'OTHER';
}
