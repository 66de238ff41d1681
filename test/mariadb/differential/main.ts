/** The long run of the differential tests, which take random cases from a seed: HELP says which. */
import { parseArgs } from 'node:util';
import { MariadbServer, type ServerOptions } from '../../../lab/mariadb/server.js';
import { checkInterleaved } from './interleaved.js';
import { PLANS_SERVER, checkPlans } from './plans.js';
import { SERVER, checkSequences, type DifferentialOptions } from './property.js';
import { PUSHDOWN_SERVER, checkPushdown } from './pushdown/property.js';
import { checkReplicated } from './replicated.js';

const HELP = `npm run test:differential -- [KIND] [--runs N] [--seed N] [--path P] [--engines A,B]

KIND is one of
  (nothing)      sequences of statements give the same answers, errors and warnings on both engines
  --interleaved  statements of three connections wait for one another alike; in some schedules the table is rebuilt
  --pushdown     what runs beside the data means the same as without it, and on InnoDB
  --replica      parallel replicas of the first engine, with and without log_slave_updates, apply histories of transactions that
                 conflict on a source of the second one, and have its rows
  --plans        joins read no more rows than on InnoDB, within a factor

  --runs N       how many cases (500)
  --seed N       where they come from; it is printed first
  --path P       where among the seed's cases it begins, as a failure prints it; one number P begins with case P + 1
  --engines A,B  which engines are compared (VAMOS,InnoDB); B is right

A failing case is made smaller and printed last. --runs 20 of any kind takes about a minute.
`;

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '500' },
    seed: { type: 'string' },
    path: { type: 'string' },
    interleaved: { type: 'boolean', default: false },
    pushdown: { type: 'boolean', default: false },
    replica: { type: 'boolean', default: false },
    plans: { type: 'boolean', default: false },
    engines: { type: 'string', default: 'VAMOS,InnoDB' },
    help: { type: 'boolean', default: false },
  },
});
const say = (text: string) => process.stdout.write(`${text}\n`);

/** @returns lines about what was done */
type Check = (options: DifferentialOptions & { engines: [string, string] }) => Promise<string[]>;

const onServer =
  (
    options: ServerOptions,
    check: (server: MariadbServer, ...args: Parameters<Check>) => Promise<string[]>,
  ): Check =>
  async (given) => {
    const isBeside = given.engines.includes('VAMOS');
    await using server = await MariadbServer.start({ ...options, ...(!isBeside && { host: 'none' }) });
    try {
      return await check(server, given);
    } catch (error) {
      const at = server.log.lastIndexOf('got signal');
      if (at >= 0) say(server.log.slice(at, at + 5000));
      throw error;
    }
  };

function checkOf(kinds: typeof values): Check {
  if (kinds.interleaved) {
    return onServer(SERVER, async (server, options) => {
      const { statements, waits } = await checkInterleaved(server, options);
      return [`${statements} statements, of which ${waits} waited`];
    });
  }
  if (kinds.pushdown) {
    return onServer(PUSHDOWN_SERVER, async (server, options) =>
      Object.entries(await checkPushdown(server, options)).map(([name, count]) => `${name}: ${count}`),
    );
  }
  if (kinds.plans) {
    return onServer(PLANS_SERVER, async (server, options) => {
      const [own, right] = await checkPlans(server, options);
      return [`rows read: ${own} and ${right}`];
    });
  }
  if (kinds.replica) {
    return async (options) => {
      await checkReplicated(options);
      return [];
    };
  }
  return onServer(SERVER, async (server, options) => {
    await checkSequences(server, options);
    return [];
  });
}

async function main(): Promise<void> {
  const runs = Number(values.runs);
  const seed = values.seed === undefined ? Date.now() % 0x7fffffff : Number(values.seed);
  const engines = values.engines.split(',') as [string, string];
  say(`Differential test of ${engines.join(' and ')}: ${runs} cases, seed ${seed}`);
  const started = Date.now();
  let shown = Date.now();
  const progress = (done: number, statements: number): void => {
    if (Date.now() - shown < 10_000 && done < runs) return;
    shown = Date.now();
    say(`  ${done} cases, ${statements} statements, ${Math.round((shown - started) / 1000)} s`);
  };
  try {
    const check = checkOf(values);
    const lines = await check({
      runs,
      seed,
      engines,
      progress,
      ...(values.path !== undefined && { path: values.path }),
    });
    for (const line of lines) say(`  ${line}`);
    say('They agree.');
  } catch (error) {
    say((error as Error).message);
    process.exitCode = 1;
  }
}

if (values.help) say(HELP);
else await main();
