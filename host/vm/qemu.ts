import { closeSync, constants, existsSync, openSync } from 'node:fs';
import { open } from 'node:fs/promises';
import path from 'node:path';
import type { Image } from './image.js';
import { CONTROL_PORT } from './agent/protocol.js';
import { INSTRUCTIONS_PLUGIN } from './instructions.js';
import type { Payload } from './payload.js';
import { VmError } from './errors.js';

export type Accelerator = 'kvm' | 'tcg';

/** A virtio-serial port of the guest, and the UNIX socket that QEMU makes for it on the host. */
export interface VmChannel {
  name: string;
  socketPath: string;
}

export interface MachineShape {
  image: Image;
  payload: Payload;
  cpus: number;
  memoryMiB: number;
  channels: readonly VmChannel[];
  dataDisk: { path: string } | undefined;
  forwardPorts: readonly { host: number; guest: number }[];
  countInstructions: boolean | 'by-address';
}

/** A virtio device: its type as the trace log calls it, and its id for QMP and for us. */
export interface VirtioDevice {
  id: string;
  type: 'virtio-blk-device' | 'virtio-serial-device' | 'virtio-rng-device' | 'virtio-net-device';
}

export const runFiles = (directory: string) => ({
  qmp: path.join(directory, 'qmp.sock'),
  agent: path.join(directory, 'agent.sock'),
  console: path.join(directory, 'console.log'),
  trace: path.join(directory, 'trace.log'),
  errors: path.join(directory, 'qemu.log'),
  instructions: path.join(directory, 'instructions'),
  instructionBlocks: path.join(directory, 'instruction-blocks'),
});

/** Returns the virtio devices in the order of the command line. */
export function virtioDevices(shape: MachineShape): VirtioDevice[] {
  return [
    { id: 'root', type: 'virtio-blk-device' },
    { id: 'payload', type: 'virtio-blk-device' },
    ...(shape.dataDisk ? [{ id: 'data', type: 'virtio-blk-device' } as const] : []),
    { id: 'control', type: 'virtio-serial-device' },
    { id: 'channel', type: 'virtio-serial-device' },
    ...(shape.forwardPorts.length > 0 ? [{ id: 'network', type: 'virtio-net-device' } as const] : []),
    { id: 'random', type: 'virtio-rng-device' },
  ];
}

/**
 * Returns QEMU's arguments. Channels have a virtio-serial device of their own, so that they count apart from
 * the agent's.
 */
export function qemuArguments(shape: MachineShape, directory: string, accelerator: Accelerator): string[] {
  const files = runFiles(directory);
  const readOnly = 'format=raw,if=none,readonly=on,cache=unsafe,file.locking=off';
  const kernel = [
    'console=ttyS0 quiet panic=-1 random.trust_cpu=on no_timer_check raid=noautodetect nomodeset',
    // The kernel's tests of its own ciphers take long under TCG, and once went on until the boot was given
    // up.
    'cryptomgr.notests',
    ...(shape.forwardPorts.length > 0 ? ['vamos.network=1'] : []),
  ];
  return [
    ...['-name', 'vamos', '-no-user-config', '-nodefaults', '-display', 'none', '-no-reboot'],
    ...['-machine', 'q35,hpet=off', '-accel', accelerator === 'kvm' ? 'kvm' : 'tcg,thread=multi'],
    ...[
      '-cpu',
      accelerator === 'kvm' ? 'host' : 'max',
      '-smp',
      String(shape.cpus),
      '-m',
      `${shape.memoryMiB}M`,
    ],
    ...['-kernel', shape.image.kernel, '-initrd', shape.image.initramfs, '-append', kernel.join(' ')],
    ...['-qmp', `unix:${value(files.qmp)},server=on,wait=off`],
    ...['-serial', `file:${value(files.console)}`],
    ...['-D', files.trace, '-trace', 'enable=resettable_phase_enter_begin'],
    ...['-drive', `id=root,${readOnly},file=${value(shape.image.rootDisk)}`],
    ...['-device', 'virtio-blk-pci,id=root,drive=root,serial=root'],
    ...['-drive', `id=payload,${readOnly},file=${value(shape.payload.disk)}`],
    ...['-device', 'virtio-blk-pci,id=payload,drive=payload,serial=payload'],
    ...(shape.dataDisk ? dataDisk(shape.dataDisk.path) : []),
    ...['-device', 'virtio-serial-pci,id=control,max_ports=2'],
    ...port('control', CONTROL_PORT, files.agent, 0),
    ...['-device', `virtio-serial-pci,id=channel,${portsFor(shape.channels.length)}`],
    ...shape.channels.flatMap(({ name, socketPath }, index) => port('channel', name, socketPath, index)),
    ...network(shape.forwardPorts),
    ...['-device', 'virtio-rng-pci,id=random'],
    ...(accelerator === 'tcg' ? instructionsPlugin(shape.countInstructions, directory) : []),
  ];
}

/**
 * Options of a virtio-serial device for this many channels, beside port 0. It gets an interrupt vector for
 * each queue (two a port, two for control) and one for configuration: with fewer the guest's kernel looks
 * through all queues at each interrupt.
 */
function portsFor(channels: number): string {
  return `max_ports=${channels + 1},vectors=${2 * (channels + 2) + 1}`;
}

function instructionsPlugin(wanted: boolean | 'by-address', directory: string): string[] {
  if (wanted === false) return [];
  const { instructions, instructionBlocks } = runFiles(directory);
  const blocks = wanted === 'by-address' ? `,blocks=${value(instructionBlocks)}` : '';
  return ['-plugin', `file=${value(INSTRUCTIONS_PLUGIN)},counters=${value(instructions)}${blocks}`];
}

/** Writes a value inside a QEMU option, whose commas must be doubled. */
function value(text: string): string {
  return text.replaceAll(',', ',,');
}

function port(bus: string, name: string, socketPath: string, index: number): string[] {
  const id = `${bus}-${index}`;
  return [
    ...['-chardev', `socket,id=${id},path=${value(socketPath)},server=on,wait=off`],
    ...[
      '-device',
      `virtserialport,bus=${bus}.0,nr=${index + 1},chardev=${id},id=port-${id},name=${value(name)}`,
    ],
  ];
}

function dataDisk(file: string): string[] {
  const cache = canBypassPageCache(file) ? 'cache=none' : 'cache=writeback';
  return [
    ...['-drive', `id=data,format=raw,if=none,${cache},aio=threads,discard=unmap,file=${value(file)}`],
    ...['-device', 'virtio-blk-pci,id=data,drive=data,serial=data'],
  ];
}

/** Not every file system can (tmpfs of older kernels can't). */
function canBypassPageCache(file: string): boolean {
  try {
    closeSync(openSync(file, constants.O_RDWR | constants.O_DIRECT));
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EINVAL') return false;
    throw error;
  }
}

function network(forwardPorts: readonly { host: number; guest: number }[]): string[] {
  if (forwardPorts.length === 0) return [];
  const rules = forwardPorts.map(({ host, guest }) => `hostfwd=tcp:127.0.0.1:${host}-:${guest}`);
  return [
    ...['-netdev', ['user', 'id=network', ...rules].join(',')],
    ...['-device', 'virtio-net-pci,id=network,netdev=network,romfile='],
  ];
}

/** Refuses shapes that QEMU or the guest would refuse less clearly. */
export async function checkShape(shape: MachineShape): Promise<void> {
  const fail = (message: string): never => {
    throw new VmError('BAD_OPTION', message);
  };
  if (!Number.isInteger(shape.cpus) || shape.cpus < 1 || shape.cpus > 64) fail('cpus: 1 to 64');
  if (!Number.isInteger(shape.memoryMiB) || shape.memoryMiB < 192) fail('memoryMiB: at least 192');
  if (shape.channels.length > 30) fail('channels: at most 30');
  const names = new Set<string>();
  for (const { name, socketPath } of shape.channels) {
    if (!/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$/.test(name) || name === CONTROL_PORT) {
      fail(`channel '${name}': a name has letters, digits, '_', '.' and '-', and is not ${CONTROL_PORT}`);
    }
    if (names.has(name)) fail(`channel '${name}' is there twice`);
    names.add(name);
    // This is the limit of sockaddr_un.sun_path.
    if (Buffer.byteLength(socketPath) > 107) fail(`socket path of more than 107 bytes: ${socketPath}`);
  }
  for (const { host, guest } of shape.forwardPorts) {
    for (const number of [host, guest]) {
      if (!Number.isInteger(number) || number < 1 || number > 65535) fail(`port ${number}: 1 to 65535`);
    }
  }
  if (shape.dataDisk) await (await open(shape.dataDisk.path, 'r+')).close();
  if (shape.countInstructions && !existsSync(INSTRUCTIONS_PLUGIN)) {
    fail(`countInstructions: ${INSTRUCTIONS_PLUGIN} is missing: run 'npm run build:native'`);
  }
}
