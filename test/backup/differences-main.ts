/** `npm run test:checkpoints`: 100 checkpoints of a root of 1 GiB, of which 4 MiB change each time. */
import { Folder } from '../../lab/daemon/daemon.js';
import { measureDifferences } from './differences.js';

const MIB = 2 ** 20;
const [steadyMebibytes = 1024, changedMebibytes = 4, checkpoints = 100] = process.argv.slice(2).map(Number);
const say = (text: string) => process.stdout.write(`${text}\n`);
using folder = new Folder();
const { firstBytes, laterBytes } = await measureDifferences(
  folder,
  { steadyBytes: steadyMebibytes * MIB, changedBytes: changedMebibytes * MIB, checkpoints },
  (number, bytes) => {
    say(`checkpoint ${number}: ${Math.round(bytes / MIB)} MiB in all`);
  },
);
const changedBytes = changedMebibytes * MIB * (checkpoints - 1);
say(
  `the first takes ${Math.round(firstBytes / MIB)} MiB; the others together ${Math.round(laterBytes / MIB)} MiB, for ${Math.round(changedBytes / MIB)} MiB written`,
);
