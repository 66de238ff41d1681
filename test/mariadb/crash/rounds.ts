import { MariadbServer } from '../server.js';
import { compareWithLog } from './binary_log.js';
import { Transfers, VICTIMS, type CrashTotals, type Victim } from './transfers.js';

const BINARY_LOG = ['--log-bin=binlog', '--server-id=1', '--sync-binlog=1', '--binlog-format=ROW'];
const CLIENTS = 4;

export interface CrashOptions {
  rounds: number;
  binaryLog: boolean;
  engine?: string;
  victims?: readonly Victim[];
  progress?: (round: number, victim: Victim, totals: CrashTotals) => void;
}

/**
 * Kills the parts in turn while clients work.
 * @throws Error with what was lost, doubled or out of order
 */
export async function crashRounds(options: CrashOptions): Promise<CrashTotals> {
  const { rounds, binaryLog, engine = 'VAMOS', victims = VICTIMS, progress } = options;
  await using server = await MariadbServer.start({ args: binaryLog ? BINARY_LOG : [] });
  const transfers = new Transfers(server);
  await transfers.create(engine);
  for (let round = 0; round < rounds; round++) {
    const victim = victims[round % victims.length]!;
    await transfers.round(victim, CLIENTS, 100 + ((round * 83) % 400));
    const faults = await transfers.faults();
    if (faults.length > 0) {
      const shown = faults.slice(0, 20).join('\n');
      throw new Error(`round ${round}, kill of ${victim}:\n${shown}\n${server.log.slice(-3000)}`);
    }
    progress?.(round, victim, transfers.totals);
  }
  if (binaryLog) {
    const tables = ['accounts ORDER BY id', 'ledger ORDER BY transfer', 'events ORDER BY event'];
    const same = await compareWithLog(
      server,
      tables.map((table) => `SELECT * FROM ${table}`),
    );
    if (!same.every(Boolean))
      throw new Error(`log and tables differ: ${tables.filter((_, n) => !same[n]).join(', ')}`);
  }
  return transfers.totals;
}
