/**
 * The long run of the crash tests: `npm run test:crash -- [--rounds N] [--seed N] [--faults NAME,...] [--client KIND]
 * [--setting NAME] [--engine ENGINE] [--guest]`. With --guest the server runs in a guest of QEMU (`npm run package:mariadb` first).
 */
import { parseArgs } from 'node:util';
import { FAULT_NAMES, type FaultName } from './faults.js';
import { GuestPlace } from './guest_place.js';
import { Report } from './report.js';
import { GUEST_SETTING, SETTINGS, crashRounds, type ClientKind } from './rounds.js';

const MOST_ROUNDS_A_PLACE = 25;
const CLIENT_KINDS = ['mysql', 'typescript', 'both'];

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '50' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    faults: { type: 'string', default: FAULT_NAMES.join(',') },
    client: { type: 'string' },
    setting: { type: 'string' },
    guest: { type: 'boolean', default: false },
    engine: { type: 'string', default: 'VAMOS' },
  },
});
const say = (text: string) => process.stdout.write(`${text}\n`);

const rounds = Number(values.rounds);
const seed = Number(values.seed);
const faults = values.faults.split(',') as FaultName[];
for (const name of faults)
  if (!FAULT_NAMES.includes(name)) throw new Error(`no fault '${name}': ${FAULT_NAMES.join(', ')}`);
if (values.client !== undefined && !CLIENT_KINDS.includes(values.client))
  throw new Error(`no client '${values.client}': ${CLIENT_KINDS.join(', ')}`);
const settings = values.guest
  ? [GUEST_SETTING]
  : SETTINGS.filter(({ name }) => values.setting === undefined || name === values.setting);
if (settings.length === 0)
  throw new Error(`no setting '${values.setting}': ${SETTINGS.map(({ name }) => name).join(', ')}`);

say(`seed ${seed}`);
const report = new Report();
const roundsAPlace = Math.min(MOST_ROUNDS_A_PLACE, Math.ceil(rounds / settings.length));
const violations: string[] = [];
for (let done = 0, place = 0; done < rounds; done += roundsAPlace, place++) {
  const setting = settings[place % settings.length]!;
  try {
    await crashRounds({
      setting: { ...setting, ...(values.client !== undefined && { clients: values.client as ClientKind }) },
      rounds: Math.min(roundsAPlace, rounds - done),
      seed: seed + place,
      faults,
      engine: values.engine,
      report,
      ...(values.guest && { open: () => GuestPlace.start((text) => say(`  ${text}`)) }),
      progress: (text) => {
        say(`  ${text}`);
      },
    });
  } catch (error) {
    violations.push((error as Error).message);
  }
}
say(report.toString());
say(`Why transactions were refused, or their outcomes unknown:\n${report.refusals}`);
say(
  violations.length === 0
    ? `Every one of ${report.total.acknowledged} acknowledged commits is there once, in ${report.total.rounds} rounds.`
    : `${violations.length} places with violations (seed ${seed}).`,
);
process.exitCode = violations.length === 0 ? 0 : 1;
