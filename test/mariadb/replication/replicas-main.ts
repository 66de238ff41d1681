/**
 * `npm run test:replicas -- [--seconds N] [--modes A,B] [--pairs A-B,…]`: order entry from 8 connections on a source while a
 * replica applies it in each parallel mode. Afterwards all rows are equal; a replica that stopped fails the run.
 */
import { parseArgs } from 'node:util';
import { alignColumns } from '../../../bench/table.js';
import { PARALLEL_MODES, replicateLoad, type ReplicaCase } from './replica_load.js';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    modes: { type: 'string', default: PARALLEL_MODES.join(',') },
    pairs: { type: 'string', default: 'InnoDB-VAMOS,VAMOS-InnoDB,VAMOS-VAMOS' },
  },
});
const say = (text: string) => process.stdout.write(`${text}\n`);
const seconds = Number(values.seconds);
const lines = [['source, replica, mode', 'transactions', 'made again', 'behind', 'outcome']];
for (const pair of values.pairs.split(',')) {
  const [from, to] = pair.split('-') as [string, string];
  for (const mode of values.modes.split(',') as ReplicaCase['mode'][]) {
    const title = `${from}, ${to}, ${mode}`;
    try {
      const { transactions, retries, behindSeconds } = await replicateLoad({ from, to, mode }, seconds);
      lines.push([title, `${transactions}`, `${retries}`, `${behindSeconds.toFixed(1)} s`, 'rows are equal']);
      say(`${title}: ${transactions} transactions, rows are equal`);
    } catch (error) {
      process.exitCode = 1;
      lines.push([title, '', '', '', 'failed']);
      say(`${title} failed: ${(error as Error).stack}`);
    }
  }
}
say(alignColumns(lines));
