/** The benchmark's results as Markdown. The same results give the same text. */
import { short, size } from '../table.js';
import { checksumDifferences } from './merge.js';
import {
  bestDurablePeer,
  groupsOf,
  improvements,
  medianAStatement,
  sizeName,
  TRANSITION_CYCLES,
  transitionsOf,
  type Group,
} from './model.js';
import { ENGINES, HOST_PARTS, spread, type TransitionReport, type TransitionRow } from './result.js';
import { NOTES } from './notes.js';
import { compareWithTargets } from './targets.js';
import { WORKLOAD_LIST } from './workloads.js';

/** The engines' names in plots and tables. */
export const ENGINE_TITLES = {
  innodb: 'InnoDB',
  'innodb-tuned': 'InnoDB, tuned',
  aria: 'Aria',
  myisam: 'MyISAM (not durable)',
  vamos: 'VAMOS',
} as const;

export function renderReport(report: TransitionReport): string {
  const groups = groupsOf(report.rows);
  const sections = [
    `# Transitions, and guest and host work, by workload and engine`,
    'Generated from `bench/results/transitions.json` by `npm run bench -- transitions --render`.',
    describe(report),
    `## Transitions a statement`,
    'Kicks and interrupts of the devices that carry storage. Median (minimum to maximum) of the repetitions.',
    transitionsTable(groups, report.rows),
    `## What the workloads are`,
    workloadTable(groups),
    '## How it is measured',
    NOTES,
    `## Guest and host work a statement`,
    'Medians. Requests: of VAMOS to the host; of the others reads, writes and flushes of the data disk. CPU time: of the ' +
      "host. The kernel's instructions contain its waiting for locks whose holder's processor the host has taken away: they " +
      'vary with what else the machine does, while those of user programs repeat to a percent.',
    workTable(groups),
    `## Runtime`,
    ...runtimeSection(groups, report.accelerator),
    `## Results`,
    resultsText(report.rows),
  ];
  return `${sections.join('\n\n')}\n`;
}

/** Returns a line that says where and when it was measured; plots show it, too. */
export function measuredOn({ accelerator, date, rows }: TransitionReport): string {
  const quick = rows.filter(({ scale }) => scale === 'quick').length;
  const scale = quick === 0 ? '' : quick === rows.length ? ', quick run' : ', in part from a quick run';
  return `Guest under ${accelerator.toUpperCase()}, ${date.slice(0, 10)}${scale}.`;
}

function describe(report: TransitionReport): string {
  const { machine, accelerator, versions, guestSlowdown, gatherUs } = report;
  const names = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  const lines = [
    measuredOn(report),
    `Machine: ${machine}.`,
    `Versions: ${names.join(', ')}.`,
    `The guest takes ${short(guestSlowdown)} times as long as the machine for the same work; \`vamos_gather_us\` is ${gatherUs}.`,
    accelerator === 'tcg'
      ? 'TCG counts instructions and transitions as KVM would, suppression aside; its times mean nothing elsewhere.'
      : "Under KVM the guest's instructions are not counted.",
  ];
  return lines.map((line) => `- ${line}`).join('\n');
}

/**
 * Formats a table.
 * @param names how many columns are names, to the left; numbers stand to the right
 */
function table(head: readonly string[], lines: readonly (readonly string[])[], names = 1): string {
  const rule = head.map((_, column) => (column < names ? ':--' : '--:'));
  return [head, rule, ...lines].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

const nameOf = ({ workload, rowBytes }: Group): string => `${workload} ${sizeName(rowBytes)}`;

function transitionsTable(groups: readonly Group[], rows: readonly TransitionRow[]): string {
  const engines = ENGINES.filter((engine) => rows.some((row) => row.engine === engine));
  const targets = compareWithTargets(rows);
  return table(
    ['', ...engines.map((engine) => ENGINE_TITLES[engine]), 'target', 'best durable : VAMOS'],
    groups.map((group) => {
      const best = bestDurablePeer(group)?.transitions;
      const vamos = group.rows.get('vamos');
      const ours = vamos && medianAStatement(vamos, transitionsOf(vamos));
      const target = targets.find(
        ({ workload, rowBytes }) => workload === group.workload && rowBytes === group.rowBytes,
      );
      return [
        nameOf(group),
        ...engines.map((engine) => spreadCell(group.rows.get(engine))),
        target ? `<= ${target.atMost}${target.isReached ? '' : ' (missed)'}` : '',
        best !== undefined && ours ? short(best / ours) : '-',
      ];
    }),
  );
}

function spreadCell(row: TransitionRow | undefined): string {
  if (!row) return '-';
  const { minimum, median, maximum } = spread(transitionsOf(row).map((count) => count / row.statements));
  return minimum === maximum ? short(median) : `${short(median)} (${short(minimum)} to ${short(maximum)})`;
}

function workloadTable(groups: readonly Group[]): string {
  const names = new Set(groups.map(({ workload }) => workload));
  const lines = WORKLOAD_LIST.filter(({ name }) => names.has(name)).map(({ name, title }) => {
    const statements = groups
      .filter(({ workload }) => workload === name)
      .flatMap(({ rows }) => [...rows.values()].map((row) => row.statements));
    return [name, title, [...new Set(statements)].join(', ')];
  });
  return table(['', 'a statement is', 'statements a repetition'], lines, 2);
}

function workTable(groups: readonly Group[]): string {
  const lines = groups.flatMap((group) =>
    [...group.rows.values()].map((row) => {
      const each = (values: readonly number[], render: (value: number) => string = short) => {
        const value = medianAStatement(row, values);
        return value === undefined ? '-' : render(value);
      };
      return [
        nameOf(group),
        ENGINE_TITLES[row.engine],
        each(row.requestCounts),
        each(row.frames),
        each(row.bytesToHost, wholeSize),
        each(row.bytesToGuest, wholeSize),
        each(row.guestKernelInstructions, thousands),
        each(row.guestUserInstructions, thousands),
        ...HOST_PARTS.map((part) => each(row.hostCpuMs[part])),
      ];
    }),
  );
  const counts = [
    'requests',
    'frames',
    'to host',
    'to guest',
    'kernel, k instructions',
    'user, k instructions',
  ];
  return table(['', 'engine', ...counts, ...HOST_PARTS.map((part) => `${part}, ms`)], lines, 2);
}

const wholeSize = (bytes: number): string => size(Math.round(bytes));
const thousands = (count: number): string => short(count / 1000);

function runtimeSection(groups: readonly Group[], accelerator: 'kvm' | 'tcg'): string[] {
  const found = improvements(groups, accelerator);
  if (found.length === 0) return ['Not measured: it takes VAMOS and another engine.'];
  const costs = accelerator === 'tcg' ? TRANSITION_CYCLES : [undefined];
  const peers = ENGINES.filter((engine) => found.some(({ peer }) => peer === engine));
  const heading = (cost: number | undefined) => (cost === undefined ? '' : `, ${cost.toLocaleString('en')}`);
  const columns = peers.flatMap((peer) => costs.map((cost) => ({ peer, cost })));
  const lines = groups.flatMap((group) => {
    const ofGroup = found.filter(
      ({ workload, rowBytes }) => workload === group.workload && rowBytes === group.rowBytes,
    );
    if (ofGroup.length === 0) return [];
    const cells = columns.map(({ peer, cost }) => {
      const one = ofGroup.find((each) => each.peer === peer && each.transitionCycles === cost);
      return one ? short(one.factor) : '-';
    });
    return [[nameOf(group), ...cells]];
  });
  return [
    accelerator === 'tcg'
      ? `A model, as times under TCG mean nothing: a cycle for each instruction of the guest, and 2,000 or 10,000 for each ` +
        `transition. How many times longer than on VAMOS a statement takes; above 1 VAMOS is faster.`
      : 'Measured. How many times longer than on VAMOS a statement takes; above 1 VAMOS is faster.',
    table(['', ...columns.map(({ peer, cost }) => `${ENGINE_TITLES[peer]}${heading(cost)}`)], lines),
  ];
}

function resultsText(rows: readonly TransitionRow[]): string {
  const differences = checksumDifferences(rows);
  if (differences.length === 0) return 'All engines gave the same results, by their checksums.';
  return ['**Engines gave different results:**', ...differences.map((line) => `- ${line}`)].join('\n');
}
