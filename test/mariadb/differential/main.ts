/**
 * The long run of the differential tests: `npm run test:differential -- [--runs N] [--seed N] [--path P] [--interleaved | --pushdown]
 * [--engines A,B]`. Interleaved: statements of three connections, and who waits for whom. Push-down: what runs beside the
 * data, against the same statements without it and on InnoDB.
 * Prints the seed first, and the smallest failing script last, with the path that leads back to it; a path of one number begins
 * with that sequence.
 */
import { parseArgs } from 'node:util';
import { MariadbServer } from '../../../lab/mariadb/server.js';
import { checkInterleaved } from './interleaved.js';
import { SERVER, checkSequences } from './property.js';
import { PUSHDOWN_SERVER, checkPushdown } from './pushdown/property.js';

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '500' },
    seed: { type: 'string' },
    path: { type: 'string' },
    interleaved: { type: 'boolean', default: false },
    pushdown: { type: 'boolean', default: false },
    engines: { type: 'string', default: 'VAMOS,InnoDB' },
  },
});
const say = (text: string) => process.stdout.write(`${text}\n`);
const runs = Number(values.runs);
const seed = values.seed === undefined ? Date.now() % 0x7fffffff : Number(values.seed);
const from = { runs, seed, ...(values.path !== undefined && { path: values.path }) };
const engines = values.engines.split(',') as [string, string];

say(`Differential test of ${engines.join(' and ')}: ${runs} sequences, seed ${seed}`);
await using server = await MariadbServer.start({
  ...(values.pushdown ? PUSHDOWN_SERVER : SERVER),
  ...(!engines.includes('VAMOS') && { host: 'none' }),
});
const started = Date.now();
let shown = Date.now();
const progress = (done: number, statements: number): void => {
  if (Date.now() - shown < 10_000 && done < runs) return;
  shown = Date.now();
  say(`  ${done} sequences, ${statements} statements, ${Math.round((shown - started) / 1000)} s`);
};
try {
  if (values.interleaved) {
    const { statements, waits } = await checkInterleaved(server, { ...from, engines, progress });
    say(`  ${statements} statements, of which ${waits} waited`);
  } else if (values.pushdown) {
    for (const [name, count] of Object.entries(await checkPushdown(server, { ...from, progress })))
      say(`  ${name}: ${count}`);
  } else {
    await checkSequences(server, { ...from, engines, progress });
  }
  say('They agree.');
} catch (error) {
  const at = server.log.lastIndexOf('got signal');
  if (at >= 0) say(server.log.slice(at, at + 5000));
  say((error as Error).message);
  process.exitCode = 1;
}
