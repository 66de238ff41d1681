/** The long run of the crash tests: `npm run test:crash -- [--rounds N] [--engine ENGINE]`, with and without binary log. */
import { parseArgs } from 'node:util';
import { crashRounds } from './rounds.js';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '50' },
    engine: { type: 'string', default: 'VAMOS' },
  },
});
const say = (text: string) => process.stdout.write(`${text}\n`);
for (const binaryLog of [false, true]) {
  say(binaryLog ? 'With the binary log:' : 'Without a binary log:');
  try {
    const totals = await crashRounds({
      rounds: Number(values.rounds),
      engine: values.engine,
      binaryLog,
      progress: (round, victim, { acknowledged, refused, unknown }) => {
        say(
          `  ${round + 1}: kill of ${victim}; ${acknowledged} acknowledged, ${refused} refused, ${unknown} unknown`,
        );
      },
    });
    say(
      `  Every one of ${totals.acknowledged} acknowledged commits is there once${binaryLog ? ', log and tables agree' : ''}.`,
    );
  } catch (error) {
    say((error as Error).message);
    process.exitCode = 1;
  }
}
