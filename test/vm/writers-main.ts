/**
 * Runs in a guest: `node writers-main.js REPORT-PORT`. Writers commit rows as fast as they are answered, and
 * report each commit on a port of their own, since this process forgets when the guest's memory is put back
 * to an earlier state.
 */
import { openSync, writeSync } from 'node:fs';
import { connect, VamosError, type Tables } from '../../entry/guest.js';
import { freshBytes } from '../../src/channel/fresh_bytes.js';
import { NOTES, TALLIES, WRITERS, formatReport, type Report } from './writers.js';

const port = openSync(`/dev/virtio-ports/${process.argv[2]}`, 'w');
const vamos = await connect('virtio-serial:vamos.0', { program: 'writers' });
await Promise.all(
  Array.from({ length: WRITERS }, (_, writer) => write(writer, writer === 0 ? vamos : vamos.stream())),
);

async function write(writer: number, { tables }: { tables: Tables }): Promise<never> {
  const notes = await tables.open(NOTES);
  const tallies = await tables.open(TALLIES);
  for (let turn = 1; ; turn++) {
    // The commits of one turn, made again after the memory was put back, are different commits.
    const tag = Buffer.from(freshBytes(8)).toString('hex');
    const report = (id: number, outcome: string) => {
      tell({ writer, turn, tag, id, outcome });
    };
    try {
      if (writer % 2 === 0) {
        const { id } = await notes.writeRow({ writer, turn, tag });
        report(id, 'done');
      } else {
        report(await writeAndCount(), 'done');
      }
    } catch (error) {
      if (!(error instanceof VamosError)) throw error;
      report(0, error.code);
    }

    async function writeAndCount(): Promise<number> {
      return tables.transaction(async (transaction) => {
        const counted = transaction.table(tallies);
        const tally = await counted.get({ writer }, { lock: 'exclusive' });
        await counted.updateRow(tally!, { counted: tally!.counted + 1 });
        const { id } = await transaction.table(notes).writeRow({ writer, turn, tag });
        return id;
      });
    }
  }
}

/** Reports in one piece, which arrives whole or not at all. */
function tell(report: Report): void {
  writeSync(port, formatReport(report));
}
