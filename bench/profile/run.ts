import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { alignColumns } from '../table.js';
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
const MAX_NAME_LENGTH = 100;

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
    const profiles: Profile[] = [];
    for (const engine of options.engine) {
      profiles.push(await profile(machine, engine, options, folder, report, stop.signal));
    }
    console.log(`${options.workload}: instructions of the guest for a statement\n`);
    console.log(renderProfiles(profiles, Number(options.lines)));
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
): Promise<Profile> {
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
  return { engine, ...namedInstructions(byAddress, symbols, statements) };
}

/** Instructions for a statement, by function. */
export interface Profile {
  engine: EngineName;
  byFile: Map<string, number>;
  byFunction: Map<string, number>;
}

export function namedInstructions(
  byAddress: ReadonlyMap<bigint, number>,
  symbols: Pick<GuestSymbols, 'name'>,
  statements: number,
): Omit<Profile, 'engine'> {
  const byFile = new Map<string, number>();
  const byFunction = new Map<string, number>();
  for (const [address, count] of byAddress) {
    const { file, name } = symbols.name(address);
    const add = (map: Map<string, number>, key: string) =>
      map.set(key, (map.get(key) ?? 0) + count / statements);
    add(byFile, 'all');
    add(byFile, file);
    add(byFunction, `${file} ${name}`.trimEnd());
  }
  return { byFile, byFunction };
}

/**
 * Formats each engine's instructions by file, then by function. With several engines, the functions in which
 * the last engine differs most from the first come first; with one engine, those in which it executes most
 * instructions.
 */
export function renderProfiles(profiles: readonly Profile[], lines: number): string {
  const first = profiles.length > 1 ? profiles[0] : undefined;
  const last = profiles.at(-1)!;
  const table = (mapOf: (profile: Profile) => Map<string, number>, count: number): string => {
    const of = (profile: Profile | undefined, name: string) => (profile && mapOf(profile).get(name)) ?? 0;
    const difference = (name: string) => of(last, name) - of(first, name);
    const names = [...new Set(profiles.flatMap((profile) => [...mapOf(profile).keys()]))]
      .sort((one, other) => Math.abs(difference(other)) - Math.abs(difference(one)))
      .slice(0, count);
    return alignColumns([
      ['', ...profiles.map(({ engine }) => engine), ...(first ? ['difference'] : [])],
      ...names.map((name) => [
        name.length > MAX_NAME_LENGTH ? `${name.slice(0, MAX_NAME_LENGTH - 1)}…` : name,
        ...profiles.map((profile) => of(profile, name).toFixed(0)),
        ...(first ? [difference(name).toFixed(0)] : []),
      ]),
    ]);
  };
  return [table(({ byFile }) => byFile, Infinity), table(({ byFunction }) => byFunction, lines)].join('\n\n');
}
