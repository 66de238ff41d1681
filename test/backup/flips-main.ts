/**
 * `npm run test:flips`: a bit is flipped at 1,000 places of a root (or as many as the argument says), one at
 * a time.
 */
import { Folder } from '../../lab/daemon/daemon.js';
import { flipBits } from './flips.js';

const say = (text: string) => process.stdout.write(`${text}\n`);
using folder = new Folder();
const { found, refused, harmless, missed } = await flipBits(folder, Number(process.argv[2] ?? 1000));
for (const place of missed) say(`missed: ${place}`);
say(
  `${found} found by verify, ${refused} refused at the opening, ${harmless} harmless, ${missed.length} missed`,
);
process.exitCode = missed.length === 0 ? 0 : 1;
