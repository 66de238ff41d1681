/** The figures, each as a description for draw.ts; undefined where nothing of it was measured. */
import { short } from '../../table.js';
import {
  bestDurablePeer,
  groupsOf,
  improvements,
  medianAStatement,
  sizeName,
  transitionsOf,
  type Group,
} from '../model.js';
import { ENGINE_TITLES, measuredOn } from '../report.js';
import { ENGINES, HOST_PARTS, type EngineName, type TransitionReport, type WorkloadName } from '../result.js';
import { WORKLOAD_LIST } from '../workloads.js';
import type { Plot } from '../../draw.js';

/** Okabe and Ito's colours, which the colour-blind can tell apart. */
const ENGINE_COLOURS: Record<EngineName, string> = {
  innodb: '#D55E00',
  'innodb-tuned': '#E69F00',
  aria: '#009E73',
  myisam: '#999999',
  vamos: '#0072B2',
};
const DARK = '#333333';
/** A logarithm has no zero: smaller values are drawn here. */
const LEAST = 0.01;
const LOGARITHMIC = { type: 'log', nice: false, padding: 14 };
const LOGARITHMIC_AXIS = {
  values: [0.01, 0.1, 1, 10, 100, 1000, 10_000, 100_000],
  labelExpr: 'format(datum.value, "~")',
};
const README_ROW_BYTES = 1024;

/** Short titles, where there is no room for more. */
const SHORT_TITLES: Partial<Record<WorkloadName, string>> = {
  W1: 'INSERT of a row',
  W2: 'INSERT of 100 rows',
  W3: 'scan',
  W4: 'SELECT of a row',
  W5: 'filter',
  W6: 'UPDATE of a row',
};
const shortTitleOf = (workload: WorkloadName): string =>
  `${workload}  ${SHORT_TITLES[workload] ?? ''}`.trimEnd();
const titleOf = (workload: WorkloadName): string =>
  WORKLOAD_LIST.find(({ name }) => name === workload)?.title ?? '';

function engineScale(engines: readonly EngineName[]) {
  const present = ENGINES.filter((engine) => engines.includes(engine));
  return {
    domain: present.map((engine) => ENGINE_TITLES[engine]),
    range: present.map((engine) => ENGINE_COLOURS[engine]),
  };
}

/** Transitions a statement of each workload: VAMOS, tuned InnoDB and the best durable engine of today. */
export function overview(report: TransitionReport): Plot | undefined {
  const vamos = ENGINE_TITLES.vamos;
  const tuned = ENGINE_TITLES['innodb-tuned'];
  const best = 'best durable engine of today';
  const values = oneOfEachWorkload(groupsOf(report.rows)).flatMap((group) => {
    const line = `${group.workload}   ${titleOf(group.workload)}, ${sizeName(group.rowBytes)}`;
    const of = (engine: EngineName) => {
      const row = group.rows.get(engine);
      return row && medianAStatement(row, transitionsOf(row));
    };
    const peer = bestDurablePeer(group);
    const found = [
      { series: tuned, value: of('innodb-tuned') },
      { series: best, value: peer?.transitions, engine: peer?.engine },
      { series: vamos, value: of('vamos') },
    ].filter((point): point is typeof point & { value: number } => point.value !== undefined);
    const largest = Math.max(LEAST, ...found.map(({ value }) => value));
    return found.map(({ series, value, engine }) => {
      const isLeast = found.every((other) => value <= other.value);
      return {
        line,
        series,
        x: Math.max(value, LEAST),
        labelX: isLeast ? Math.max(value, LEAST) : largest,
        // The label of the best engine says which it is; the tuned one's own would cover it.
        label:
          series === tuned
            ? ''
            : engine === undefined
              ? short(value)
              : `${short(value)} ${ENGINE_TITLES[engine]}`,
        isLeast,
      };
    });
  });
  if (values.length === 0) return undefined;
  const lines = [...new Set(values.map(({ line }) => line))];
  const numbers = values.map((point) => point.x);
  // The domain leaves room for the labels.
  const domain = [Math.min(...numbers) / 40, Math.max(...numbers) * 12];
  const y = {
    field: 'line',
    type: 'nominal',
    sort: lines,
    axis: { title: null, ticks: false, domain: false },
  };
  const x = {
    field: 'x',
    type: 'quantitative',
    scale: { ...LOGARITHMIC, domain },
    axis: { ...LOGARITHMIC_AXIS, title: 'transitions a statement (kicks and interrupts, logarithmic)' },
  };
  const color = {
    field: 'series',
    scale: {
      domain: [vamos, best, tuned],
      range: [ENGINE_COLOURS.vamos, DARK, ENGINE_COLOURS['innodb-tuned']],
    },
    legend: { title: null, orient: 'top' },
  };
  const shape = {
    field: 'series',
    scale: { domain: [vamos, best, tuned], range: ['circle', 'diamond', 'square'] },
  };
  const points = (series: string, mark: object) => ({
    transform: [{ filter: { field: 'series', equal: series } }],
    mark: { type: 'point', opacity: 1, ...mark },
    encoding: { y, x, color, shape },
  });
  // Labels stand beside the ends of a line: the least to the left.
  const labels = (isLeast: boolean) => ({
    transform: [{ filter: `datum.isLeast === ${isLeast} && datum.label !== ''` }],
    mark: { type: 'text', align: isLeast ? 'right' : 'left', dx: isLeast ? -10 : 11, fontSize: 11 },
    encoding: { y, x: { ...x, field: 'labelX' }, text: { field: 'label' }, color: { value: DARK } },
  });
  return {
    title: {
      text: 'Transitions between guest and hypervisor, for one statement',
      subtitle: [
        'VAMOS over virtio-serial, the others on virtio-blk; every commit synced.',
        measuredOn(report),
      ],
    },
    width: 470,
    height: { step: 26 },
    data: { values },
    layer: [
      {
        mark: { type: 'rule', color: '#bbb', strokeWidth: 2 },
        encoding: { y, x: { ...x, aggregate: 'min' }, x2: { field: 'x', aggregate: 'max' } },
      },
      points(tuned, { shape: 'square', size: 80, filled: true }),
      points(best, { shape: 'diamond', size: 200, strokeWidth: 2 }),
      points(vamos, { shape: 'circle', size: 120, filled: true }),
      labels(true),
      labels(false),
    ],
  } as unknown as Plot;
}

/** Takes the group with rows of 1 KiB of each workload, where there is one. */
function oneOfEachWorkload(groups: readonly Group[]): Group[] {
  return [...new Set(groups.map(({ workload }) => workload))].map((workload) => {
    const ofWorkload = groups.filter((group) => group.workload === workload);
    return ofWorkload.find(({ rowBytes }) => rowBytes === README_ROW_BYTES) ?? ofWorkload[0]!;
  });
}

/** Instructions of the guest, kernel's and user's, and the host's CPU time by part, by row size and engine. */
export function work(report: TransitionReport, workload: WorkloadName): Plot | undefined {
  const groups = groupsOf(report.rows).filter((group) => group.workload === workload);
  const instructions: Bar[] = [];
  const hostTimes: Bar[] = [];
  for (const { rowBytes, rows } of groups) {
    for (const [engine, row] of rows) {
      const add = (bars: Bar[], part: string, values: readonly number[]) => {
        const value = medianAStatement(row, values);
        if (value !== undefined)
          bars.push({ size: `rows of ${sizeName(rowBytes)}`, engine: ENGINE_TITLES[engine], part, value });
      };
      add(instructions, 'kernel', row.guestKernelInstructions);
      add(instructions, 'user', row.guestUserInstructions);
      for (const part of HOST_PARTS) add(hostTimes, HOST_TITLES[part], row.hostCpuMs[part]);
    }
  }
  const sizes = [...new Set(groups.map(({ rowBytes }) => `rows of ${sizeName(rowBytes)}`))];
  const panels = [
    {
      values: instructions,
      title: "the guest's instructions a statement",
      format: '~s',
      domain: ['kernel', 'user'],
      range: ['#4A3A8C', '#B3A7DC'],
    },
    {
      values: hostTimes,
      title: "the host's CPU time a statement, ms",
      format: '~',
      domain: HOST_PARTS.map((part) => HOST_TITLES[part]),
      range: ['#BDBDBD', '#E08214', '#0072B2'],
    },
  ].filter(({ values }) => values.length > 0);
  if (panels.length === 0) return undefined;
  return {
    title: {
      text: `${workload}: guest and host work by size of the rows`,
      subtitle: [
        `${titleOf(workload)}.`,
        `${measuredOn(report)}${report.accelerator === 'tcg' ? ' CPU time of a guest under TCG is that of emulation.' : ''}`,
      ],
    },
    hconcat: panels.map((panel, index) => stackedBars(panel, sizes, index === 0)),
    spacing: 30,
    resolve: { scale: { color: 'independent' } },
  } as unknown as Plot;
}

interface Bar {
  size: string;
  engine: string;
  part: string;
  value: number;
}

const HOST_TITLES = {
  vcpu: "guest's processors",
  devices: "QEMU's devices",
  worker: 'VAMOS worker',
} as const;

interface Panel {
  values: Bar[];
  title: string;
  format: string;
  domain: string[];
  range: string[];
}

/** A row of the figure for each size, a bar for each engine; panels side by side share the labels of the first. */
function stackedBars({ values, title, format, domain, range }: Panel, sizes: string[], hasLabels: boolean) {
  return {
    data: { values: values.map((bar) => ({ ...bar, order: domain.indexOf(bar.part) })) },
    mark: { type: 'bar', height: { band: 0.8 } },
    width: 330,
    height: { step: 19 },
    encoding: {
      row: {
        field: 'size',
        sort: sizes,
        header: hasLabels
          ? { title: null, labelAngle: 0, labelAlign: 'left' }
          : { title: null, labels: false },
        spacing: 12,
      },
      y: {
        field: 'engine',
        sort: Object.values(ENGINE_TITLES),
        axis: hasLabels ? { title: null, ticks: false } : null,
      },
      x: {
        field: 'value',
        type: 'quantitative',
        axis: {
          title,
          tickCount: 4,
          labelExpr: `datum.value === 0 ? '0' : format(datum.value, '${format}')`,
        },
      },
      color: { field: 'part', scale: { domain, range }, legend: { title: null, orient: 'top' } },
      order: { field: 'order' },
    },
  };
}

/** How many times longer a statement takes on the other engines, against the size of the rows. */
export function improvement(report: TransitionReport): Plot | undefined {
  const isModel = report.accelerator === 'tcg';
  const found = improvements(groupsOf(report.rows), report.accelerator);
  const sizesOf = (workload: WorkloadName) =>
    new Set(found.filter((each) => each.workload === workload).map(({ rowBytes }) => rowBytes)).size;
  const points = found
    .filter(({ workload }) => sizesOf(workload) > 1)
    .map(({ workload, rowBytes, peer, transitionCycles, factor }) => ({
      workload: shortTitleOf(workload),
      size: sizeName(rowBytes),
      rowBytes,
      engine: ENGINE_TITLES[peer],
      cost:
        transitionCycles === undefined
          ? 'measured'
          : `transition = ${transitionCycles.toLocaleString('en')} cycles`,
      factor,
    }));
  if (points.length === 0) return undefined;
  const costs = [...new Set(points.map(({ cost }) => cost))];
  const y = {
    type: 'quantitative',
    scale: LOGARITHMIC,
    axis: {
      title: 'times VAMOS (logarithmic)',
      values: [0.01, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 1000],
      labelExpr: 'format(datum.value, "~")',
    },
  };
  return {
    title: {
      text: 'How many times longer a statement takes than on VAMOS, by size of the rows',
      subtitle: [
        isModel
          ? 'A model: a cycle for each instruction of the guest, and 2,000 or 10,000 for each transition. Above 1 VAMOS is faster.'
          : 'Measured time. Above 1 VAMOS is faster.',
        measuredOn(report),
      ],
    },
    data: { values: points },
    facet: {
      column: { field: 'workload', header: { title: null } },
      row: { field: 'cost', sort: costs, header: { title: null } },
    },
    spec: {
      width: 150,
      height: 170,
      layer: [
        { mark: { type: 'rule', color: DARK, strokeDash: [4, 3] }, encoding: { y: { datum: 1, ...y } } },
        {
          mark: { type: 'line', point: { size: 50, filled: true }, strokeWidth: 2 },
          encoding: {
            x: {
              field: 'size',
              type: 'ordinal',
              sort: { field: 'rowBytes' },
              axis: { title: null, labelAngle: 0 },
            },
            y: { field: 'factor', ...y },
            color: {
              field: 'engine',
              scale: engineScale(found.map(({ peer }) => peer)),
              legend: { title: null, orient: 'top' },
            },
          },
        },
      ],
    },
    resolve: { scale: { x: 'independent' } },
  } as Plot;
}

const SWITCH_WORKLOADS: readonly WorkloadName[] = ['W1', 'W2', 'W3', 'W5'];

/** Transitions of a statement against the data that it is about: single rows, batches and scans. */
export function switches(report: TransitionReport): Plot | undefined {
  const rows = groupsOf(report.rows.filter(({ workload }) => SWITCH_WORKLOADS.includes(workload))).flatMap(
    (group) => [...group.rows.values()],
  );
  const points = rows.map((row) => ({
    workload: shortTitleOf(row.workload),
    engine: ENGINE_TITLES[row.engine],
    bytes: row.dataBytes / row.statements,
    transitions: Math.max(medianAStatement(row, transitionsOf(row)) ?? 0, LEAST),
  }));
  if (points.length === 0) return undefined;
  const names = SWITCH_WORKLOADS.map(shortTitleOf);
  return {
    title: {
      text: 'Transitions against the amount of data',
      subtitle: [
        'A point for each size of row; the data are the rows that a statement writes or scans.',
        measuredOn(report),
      ],
    },
    width: 560,
    height: 380,
    data: { values: points },
    mark: { type: 'line', point: { size: 90, filled: true, opacity: 1 }, strokeWidth: 2 },
    encoding: {
      x: {
        field: 'bytes',
        type: 'quantitative',
        scale: LOGARITHMIC,
        axis: {
          title: 'data of a statement (logarithmic)',
          values: [64, 1024, 8192, 65536, 524288, 4194304, 33554432],
          labelExpr:
            "datum.value < 1024 ? datum.value + ' B' : datum.value < 1048576 ? datum.value / 1024 + ' KiB' : datum.value / 1048576 + ' MiB'",
        },
      },
      y: {
        field: 'transitions',
        type: 'quantitative',
        scale: LOGARITHMIC,
        axis: { ...LOGARITHMIC_AXIS, title: 'transitions a statement (logarithmic)' },
      },
      color: {
        field: 'engine',
        scale: engineScale(rows.map(({ engine }) => engine)),
        legend: { title: null },
      },
      shape: {
        field: 'workload',
        scale: { domain: names, range: ['circle', 'square', 'triangle-up', 'diamond'] },
        legend: { title: null, symbolFillColor: DARK },
      },
      detail: { field: 'workload' },
    },
  } as Plot;
}
