/** Runs all workloads on all engines, in one guest. */
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { Listr } from 'listr2';
import { packageRoot } from '../../src/native.js';
import { BenchMachine, type MachineOptions } from './machine.js';
import { Measurement } from './measure.js';
import { checksumDifferences, mergeReports } from './merge.js';
import { NOTES } from './notes.js';
import { readReport } from './read_report.js';
import { renderResults } from './render.js';
import {
  spread,
  transitionsAStatement,
  type EngineName,
  type ScaleName,
  type TransitionReport,
  type TransitionRow,
  type WorkloadName,
} from './result.js';
import { EngineServer } from './server.js';
import { renderTargets } from './targets.js';
import { REPETITIONS, WORKLOAD_LIST, type Workload } from './workloads.js';

export interface TransitionOptions extends MachineOptions {
  json?: string;
  quick?: boolean;
  workload: WorkloadName[];
  engine: EngineName[];
}

/**
 * Returns the file for results. Figures of the quick run are separate, since they compare with those of quick
 * runs only.
 */
export function resultsFile({ json, quick }: Pick<TransitionOptions, 'json' | 'quick'>): string {
  return json ?? path.join(packageRoot, 'bench/results', quick ? 'quick' : '', 'transitions.json');
}

/**
 * Runs the benchmark.
 * @returns the exit status: 0, or 1 where something failed or results differ
 */
export async function runTransitions(options: TransitionOptions): Promise<number> {
  const benchmark = new Benchmark(options);
  const stop = new AbortController();
  const interrupt = () => {
    stop.abort(new Error('interrupted'));
  };
  process.once('SIGINT', interrupt).once('SIGTERM', interrupt);
  try {
    await benchmark.run(stop.signal);
    return await benchmark.print();
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    console.error(`\nThe benchmark failed at '${benchmark.step}': ${text}`);
    const logs = await benchmark.saveLogs();
    if (logs !== undefined) console.error(`Logs of guest, MariaDB and host daemon: ${logs}`);
    return 1;
  } finally {
    await benchmark.cleanUp();
    process.off('SIGINT', interrupt).off('SIGTERM', interrupt);
  }
}

class Benchmark {
  readonly #options: TransitionOptions;
  readonly #scale: ScaleName;
  readonly #file: string;
  readonly #started = performance.now();
  #machine: BenchMachine | undefined;
  #report: TransitionReport | undefined;
  /** What is being done, for a user who waits or asks why it failed. */
  step = '';

  constructor(options: TransitionOptions) {
    this.#options = options;
    this.#scale = options.quick ? 'quick' : 'full';
    this.#file = resultsFile(options);
  }

  async run(signal: AbortSignal): Promise<void> {
    const tasks = new Listr(
      [
        {
          title: 'The guest (a few minutes the first time)',
          task: async (_, task) => {
            const onProgress = this.#reporter('guest', (text) => (task.output = text));
            onProgress('image and boot');
            this.#machine = await BenchMachine.start(this.#options, onProgress, signal);
            this.#report = {
              ...(await this.#machine.describe()),
              accelerator: this.#machine.place.vm.accelerator,
              date: new Date().toISOString(),
              guestSlowdown: Number((await this.#machine.slowdown()).toFixed(2)),
              gatherUs: 0,
              rows: [],
            };
          },
        },
        ...this.#options.engine.map((engine) => ({
          title: `${engine}: ${this.#options.workload.join(', ')}`,
          task: async (_: unknown, task: { output: string }) => {
            const onProgress = this.#reporter(engine, (text) => (task.output = text));
            await this.#measureEngine(engine, onProgress, signal);
            await this.#save();
          },
        })),
      ],
      {
        registerSignalListeners: false,
        fallbackRenderer: 'simple',
        rendererOptions: { collapseSubtasks: false },
      },
    );
    await tasks.run();
  }

  /** Remembers the step, and prints it with the time since the start. */
  #reporter(what: string, show: (text: string) => void): (message: string) => void {
    return (message) => {
      this.step = `${what}: ${message}`;
      const seconds = Math.round((performance.now() - this.#started) / 1000);
      show(`${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')} ${message}`);
    };
  }

  async #measureEngine(
    engine: EngineName,
    onProgress: (message: string) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const { place } = this.#machine!;
    const report = this.#report!;
    onProgress('starting MariaDB');
    let server = await EngineServer.start(place, engine, []);
    if (engine === 'vamos') {
      const gatherUs = Number(await server.variable('vamos_gather_us'));
      const isSlow = place.vm.accelerator === 'tcg';
      report.gatherUs = Math.round(gatherUs * (isSlow ? report.guestSlowdown : 1));
      if (report.gatherUs !== gatherUs) {
        await server.stop();
        server = await EngineServer.start(place, engine, [`--vamos-gather-us=${report.gatherUs}`]);
      }
    }
    const chosen = WORKLOAD_LIST.filter(({ name }) => this.#options.workload.includes(name));
    // Cold workloads take turns, so that one cold start serves them all: each has tables of its own.
    const cold = chosen.filter(({ isCold }) => isCold);
    const groups = [...chosen.filter(({ isCold }) => !isCold).map((workload) => [workload]), cold];
    for (const group of groups) {
      report.rows.push(...(await this.#measureWorkloads(server, engine, group, onProgress, signal)));
      const differences = checksumDifferences(report.rows);
      if (differences.length > 0)
        throw new Error(`engines gave different results: ${differences.join('; ')}`);
    }
    onProgress('ending MariaDB');
    await server.stop();
  }

  /** Measures workloads, which take turns, and so do the sizes of their rows. */
  async #measureWorkloads(
    server: EngineServer,
    engine: EngineName,
    workloads: readonly Workload[],
    onProgress: (message: string) => void,
    signal: AbortSignal,
  ): Promise<TransitionRow[]> {
    const measurements: Measurement[] = [];
    for (const workload of workloads) {
      for (const rowBytes of workload.rowSizes) {
        const measurement = new Measurement(workload, rowBytes, this.#scale, engine);
        await server.makeTables(measurement.tables, (what) => onProgress(`${workload.name}: ${what}`));
        measurements.push(measurement);
      }
    }
    for (let repetition = 0; repetition < REPETITIONS; repetition++) {
      for (const measurement of measurements) {
        signal.throwIfAborted();
        onProgress(`${measurement.title}, ${repetition + 1}/${REPETITIONS}`);
        await measurement.repeat(server, signal);
      }
    }
    return measurements.map((measurement) => {
      const row = measurement.row();
      const { minimum, median, maximum } = spread(transitionsAStatement(row));
      const range = [minimum, median, maximum].map((value) => value.toFixed(2)).join(', ');
      onProgress(`${measurement.title}: ${range} transitions a statement`);
      return row;
    });
  }

  async #save(): Promise<TransitionReport> {
    const before = existsSync(this.#file) ? await readReport(this.#file) : undefined;
    const merged = mergeReports(before, this.#report!);
    await mkdir(path.dirname(this.#file), { recursive: true });
    await writeFile(this.#file, `${JSON.stringify(merged, undefined, 2)}\n`);
    return merged;
  }

  /**
   * Prints the report.
   * @returns the exit status
   */
  async print(): Promise<number> {
    const { rows, guestSlowdown, gatherUs, accelerator } = await this.#save();
    console.log(`\n${renderTargets(rows)}\n`);
    console.log(NOTES);
    console.log(
      `The guest ran under ${accelerator.toUpperCase()}, ${guestSlowdown.toFixed(1)} times slower than this machine; vamos_gather_us was ${gatherUs}.`,
    );
    console.log(
      `Figures: ${[this.#file, ...(await renderResults(this.#file, path.dirname(this.#file)))].join(', ')}`,
    );
    const differences = checksumDifferences(rows);
    if (differences.length > 0)
      console.error(`Engines gave different results:\n  ${differences.join('\n  ')}`);
    return differences.length === 0 ? 0 : 1;
  }

  saveLogs(): Promise<string> | undefined {
    return this.#machine?.saveLogs();
  }

  async cleanUp(): Promise<void> {
    await this.#machine?.stop();
  }
}
