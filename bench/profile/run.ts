import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { alignColumns, short } from '../table.js';
import { BenchMachine } from '../transitions/machine.js';
import { Measurement } from '../transitions/measure.js';
import type { EngineName, WorkloadName } from '../transitions/result.js';
import { EngineServer } from '../transitions/server.js';
import { SCALES, WORKLOAD_LIST } from '../transitions/workloads.js';
import { GuestSymbols } from './symbols.js';

export interface ProfileOptions {
  workload: WorkloadName;
  engine: EngineName[];
  rowBytes?: string;
  lines: string;
  plugin?: string;
}

const USUAL_ROW_BYTES = 1024;

export async function runProfile(options: ProfileOptions): Promise<void> {
  const stop = new AbortController();
  const interrupt = () => stop.abort(new Error('interrupted'));
  process.once('SIGINT', interrupt).once('SIGTERM', interrupt);
  const folder = await mkdtemp(path.join(os.tmpdir(), 'vamos-profile-'));
  const report = (message: string) => console.error(`  … ${message}`);
  let machine: BenchMachine | undefined;
  try {
    machine = await BenchMachine.start(
      {
        accelerator: 'tcg',
        countInstructions: 'by-address',
        ...(options.plugin === undefined ? {} : { plugin: options.plugin }),
      },
      report,
      stop.signal,
    );
    for (const engine of options.engine)
      console.log(await profile(machine, engine, options, folder, report, stop.signal));
  } finally {
    await machine?.stop();
    await rm(folder, { recursive: true, force: true });
    process.off('SIGINT', interrupt).off('SIGTERM', interrupt);
  }
}

async function profile(
  { place }: BenchMachine,
  engine: EngineName,
  options: ProfileOptions,
  folder: string,
  onProgress: (message: string) => void,
  signal: AbortSignal,
): Promise<string> {
  const workload = WORKLOAD_LIST.find(({ name }) => name === options.workload)!;
  const sizes = workload.rowSizes;
  const wanted = Number(options.rowBytes ?? (sizes.includes(USUAL_ROW_BYTES) ? USUAL_ROW_BYTES : sizes[0]));
  if (!sizes.includes(wanted)) throw new Error(`${workload.name} has rows of ${sizes.join(', ')} bytes`);
  onProgress(`${engine}: starting MariaDB`);
  const server = await EngineServer.start(place, engine, []);
  await server.makeTables(workload.tables(wanted, SCALES.quick), onProgress);
  const measurement = new Measurement(workload, wanted, 'quick', engine);
  onProgress(`${engine}: ${workload.name}`);
  await measurement.repeat(server, signal);
  const { byAddress } = place.vm.instructions!;
  onProgress(`${engine}: reading symbols`);
  const symbols = await GuestSymbols.read(
    place.vm,
    'mariadbd',
    folder,
    options.plugin === undefined ? {} : { 'ha_vamos.so': options.plugin },
  );
  await server.stop();
  const { statements } = measurement.row();
  return `\n${workload.name} on ${engine}, rows of ${wanted} bytes\n${renderProfile(byAddress, symbols, statements, Number(options.lines))}`;
}

/** The functions that took most, then the rest; and each file's part. */
export function renderProfile(
  byAddress: ReadonlyMap<bigint, number>,
  symbols: Pick<GuestSymbols, 'name'>,
  statements: number,
  lines: number,
): string {
  const byName = new Map<string, number>();
  const byFile = new Map<string, number>();
  let total = 0;
  const add = (map: Map<string, number>, key: string, count: number) =>
    map.set(key, (map.get(key) ?? 0) + count);
  for (const [address, count] of byAddress) {
    const name = symbols.name(address);
    add(byName, name, count);
    add(byFile, name.startsWith('other ') ? name : name.split(' ')[0]!, count);
    total += count;
  }
  const cells = (entries: [string, number][]) =>
    entries.map(([name, count]) => [
      name,
      short(count / statements),
      `${((100 * count) / total).toFixed(1)} %`,
    ]);
  const inOrder = (map: Map<string, number>) => [...map].sort((one, other) => other[1] - one[1]);
  const head = ['', 'instructions a statement', 'share'];
  const shown = inOrder(byName).slice(0, lines);
  return [
    alignColumns([head, ...cells([['all', total], ...inOrder(byFile)])]),
    alignColumns([head, ...cells(shown)]),
  ].join('\n\n');
}
