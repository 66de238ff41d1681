/**
 * `npm run test:rollback`: a guest with MariaDB under load is put back to a snapshot, again and again. Its tables of other engines and
 * its log are in its memory, as all of its state has to go back. Needs the package: `npm run package:mariadb`.
 *
 * `--prepared`: the server writes a binary log, and half of the writers use XA, so that all commits are prepared first.
 */
import { buildImage, mariadbPackages, startMariadb } from '../../host/vm/index.js';
import { shell } from './guest.js';
import { Rollback } from './rollback.js';
import { WRITERS } from './writers.js';

const TABLES = `
CREATE TABLE notes (id INT UNSIGNED AUTO_INCREMENT PRIMARY KEY, writer INT UNSIGNED NOT NULL, turn INT UNSIGNED NOT NULL,
  tag VARCHAR(16) CHARACTER SET latin1 COLLATE latin1_bin NOT NULL) ENGINE=VAMOS;
CREATE TABLE tallies (writer INT UNSIGNED PRIMARY KEY, counted INT UNSIGNED NOT NULL) ENGINE=VAMOS;
INSERT INTO tallies SELECT seq, 0 FROM seq_0_to_${WRITERS - 1};`;

const isPrepared = process.argv.includes('--prepared');
const BINARY_LOG = ['--log-bin=binary', '--server-id=1', '--binlog-format=ROW'];

const say = (text: string) => process.stdout.write(`${text}\n`);
await using rollback = new Rollback({
  machine: {
    image: await buildImage({ ...(await mariadbPackages()), onProgress: say }),
    memoryMiB: 1024,
    bootTimeoutMs: 600_000,
    onProgress: say,
  },
  program: 'mariadb_writers-main.js',
  programArguments: isPrepared ? ['xa'] : [],
  notes: 'test/notes',
  tallies: 'test/tallies',
  prepare: async ({ vm }) => {
    await shell(vm, 'umount /data');
    const args = ['--innodb-buffer-pool-size=32M', '--innodb-log-file-size=8M'];
    await startMariadb(vm, { args: isPrepared ? [...args, ...BINARY_LOG] : args });
    await shell(vm, `mariadb test <<'END'\n${TABLES}\nEND`);
  },
});
const faults = await rollback.run();
const outcomes = new Map<string, number>();
for (const { outcome } of rollback.reports.all) outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
say([...outcomes].map(([outcome, times]) => `${times} × ${outcome}`).join(', '));
if (rollback.said !== '') say(`Errors of other kinds:\n${rollback.said}`);
say(faults.length === 0 ? 'No commit is lost or there twice.' : faults.join('\n'));
process.exitCode = faults.length === 0 ? 0 : 1;
