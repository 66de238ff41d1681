/**
 * A step of a bank's way between machines whose RocksDB differs: `carry-main.js FOLDER [BEFORE]`. It begins with an empty bank, or
 * verifies and restores the checkpoint that a step before it left in BEFORE and looks for every transfer that was acknowledged
 * there. Then it goes on under load, and leaves a checkpoint and the acknowledged transfers in FOLDER.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { connect } from '../../entry/guest.js';
import { Folder, until, vamos } from '../../lab/daemon/daemon.js';
import {
  ACCOUNTS,
  BALANCE,
  Load,
  address,
  checkpoint,
  makeBank,
  readRoot,
  restartWorker,
  startDaemon,
} from './bank.js';

const TRANSFERS = 500;
const [folder, before] = process.argv.slice(2);
if (folder === undefined) throw new Error('usage: carry-main.js FOLDER [BEFORE]');

const acknowledged =
  before === undefined
    ? []
    : (JSON.parse(readFileSync(path.join(before, 'acknowledged.json'), 'utf8')) as number[]);
using place = new Folder();
if (before !== undefined) {
  const checkpointed = path.join(before, 'checkpoint');
  await succeed('host', 'verify', checkpointed);
  await succeed('host', 'restore', checkpointed, place.file('root'));
  const { sum, wrong, ids } = await readRoot(place.file('root'));
  const lost = acknowledged.filter((id) => !ids.has(id));
  if (sum !== BigInt(ACCOUNTS * BALANCE) || wrong.length > 0 || lost.length > 0)
    throw new Error(`sum ${sum}, ${wrong.length} accounts wrong, ${lost.length} acknowledged transfers lost`);
}
await using daemon = await startDaemon(place);
await using connector = await connect(address(place));
if (before === undefined) await makeBank(connector);
const load = new Load(connector, { firstId: Math.max(0, ...acknowledged) + 1_000 });
await until(() => load.acknowledged.size >= TRANSFERS);
// So that there are table files of this step, beside the log.
await restartWorker(daemon);
const atLeast = load.acknowledged.size + TRANSFERS;
await until(() => load.acknowledged.size >= atLeast);
const known = [...acknowledged, ...load.acknowledged];
mkdirSync(folder, { recursive: true });
await checkpoint(daemon, path.resolve(folder, 'checkpoint'), { copy: true });
await load.stop();
writeFileSync(path.join(folder, 'acknowledged.json'), JSON.stringify(known));
process.stdout.write(
  `${acknowledged.length} acknowledged transfers found, ${load.acknowledged.size} made, ${known.length} in the checkpoint\n`,
);

async function succeed(...args: string[]): Promise<void> {
  const { code, stdout, stderr } = await vamos(...args);
  if (code !== 0) throw new Error(`vamos ${args.join(' ')} ended with ${code}:\n${stdout}${stderr}`);
}
