import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import type { Vm } from '../../host/vm/index.js';

const KERNEL_START = 1n << 63n;

/** A part of a program's memory that is a part of a file. */
export interface Mapping {
  start: bigint;
  end: bigint;
  /** Where it begins in the file. */
  offset: bigint;
  file: string;
}

export interface Symbol {
  address: bigint;
  /** 0 where it is not known: then it reaches to the next one. */
  size: bigint;
  name: string;
}

/** Parses lines of /proc/PID/maps (proc_pid_maps(5)) that are executable files. */
export function parseMaps(text: string): Mapping[] {
  return text.split('\n').flatMap((line) => {
    const [, start, end, offset, file] =
      /^([0-9a-f]+)-([0-9a-f]+) ..x. ([0-9a-f]+) \S+ \d+ +(\/.*)$/.exec(line) ?? [];
    if (file === undefined) return [];
    const [from, to, at] = [start, end, offset].map((digits) => BigInt(`0x${digits}`)) as [
      bigint,
      bigint,
      bigint,
    ];
    return [{ start: from, end: to, offset: at, file }];
  });
}

/** Parses functions of `nm --print-size` or of /proc/kallsyms, and sorts them by address. */
export function parseSymbols(text: string): Symbol[] {
  const symbols = text.split('\n').flatMap((line) => {
    const [, address, size, name] = /^([0-9a-f]{8,}) (?:([0-9a-f]{8,}) )?[tTwWiu] (.+)$/.exec(line) ?? [];
    if (address === undefined || name === undefined) return [];
    return [
      { address: BigInt(`0x${address}`), size: BigInt(`0x${size ?? '0'}`), name: name.replace(/\t.*/, '') },
    ];
  });
  return symbols.sort((one, other) =>
    one.address < other.address ? -1 : one.address > other.address ? 1 : 0,
  );
}

/** Returns the function that an address is in. */
export function findSymbol(symbols: readonly Symbol[], address: bigint): string | undefined {
  let [low, high] = [0, symbols.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (symbols[middle]!.address <= address) low = middle + 1;
    else high = middle;
  }
  const found = symbols[low - 1];
  return found && (found.size === 0n || address < found.address + found.size) ? found.name : undefined;
}

interface ProgramFile {
  symbols: Symbol[];
  /** Addresses of executable symbols less their places in the file. */
  addressOffset: bigint;
}

/** Names of the functions of a program that runs in the guest, and of the guest's kernel. */
export class GuestSymbols {
  private constructor(
    private readonly kernel: Symbol[],
    private readonly maps: Mapping[],
    private readonly files: Map<string, ProgramFile>,
  ) {}

  /**
   * @param folder for copies of the guest's files
   * @param instead files of this machine with more symbols than the guest's, by their names in the guest
   */
  static async read(
    vm: Vm,
    program: string,
    folder: string,
    instead: Record<string, string>,
  ): Promise<GuestSymbols> {
    const kernel = parseSymbols(await output(vm, 'cat /proc/kallsyms'));
    const maps = parseMaps(await output(vm, `cat /proc/$(pidof ${program} || pgrep -x ${program})/maps`));
    const files = new Map<string, ProgramFile>();
    for (const file of new Set(maps.map((mapping) => mapping.file))) {
      const copy = path.join(folder, `${files.size}-${path.basename(file)}`);
      const here = instead[path.basename(file)] ?? (await copyFrom(vm, file, copy));
      files.set(file, await readProgram(here));
    }
    return new GuestSymbols(kernel, maps, files);
  }

  /** Names the function at an address, as far as it is known. */
  name(address: bigint): { file: string; name: string } {
    if (address >= KERNEL_START) return { file: 'kernel', name: findSymbol(this.kernel, address) ?? '' };
    const mapping = this.maps.find(({ start, end }) => start <= address && address < end);
    if (!mapping) return { file: 'other programs', name: '' };
    const { symbols, addressOffset } = this.files.get(mapping.file)!;
    const name = findSymbol(symbols, address - mapping.start + mapping.offset + addressOffset);
    return { file: path.basename(mapping.file), name: name ?? '(not exported)' };
  }
}

async function output(vm: Vm, script: string): Promise<string> {
  const { code, stdout, stderr } = await vm.exec(['sh', '-ec', script]);
  if (code !== 0) throw new Error(`'${script}' in the guest: ${stderr}`);
  return stdout;
}

async function copyFrom(vm: Vm, file: string, copy: string): Promise<string> {
  const target = createWriteStream(copy);
  const { code, stderr } = await vm.exec(['cat', file], { onStdout: (chunk) => target.write(chunk) });
  target.end();
  await once(target, 'finish');
  if (code !== 0) throw new Error(`${file} in the guest: ${stderr}`);
  return copy;
}

async function readProgram(file: string): Promise<ProgramFile> {
  const run = async (tool: string, args: string[]) =>
    (await promisify(execFile)(tool, args, { maxBuffer: 1 << 28 })).stdout;
  const nm = ['--defined-only', '--demangle', '--print-size', file];
  // A stripped file has only dynamic symbols.
  let symbols = parseSymbols(await run('nm', nm).catch(() => ''));
  if (symbols.length === 0) symbols = parseSymbols(await run('nm', ['--dynamic', ...nm]).catch(() => ''));
  // A line is such as: LOAD 0x0a5000 0x00000000000a5000 …, flags R E: offset in the file, virtual address.
  const headers = await run('readelf', ['--program-headers', '--wide', file]);
  const [, offset, address] = /^ +LOAD +0x([0-9a-f]+) 0x([0-9a-f]+) .* R E /m.exec(headers) ?? [];
  return { symbols, addressOffset: BigInt(`0x${address ?? '0'}`) - BigInt(`0x${offset ?? '0'}`) };
}
