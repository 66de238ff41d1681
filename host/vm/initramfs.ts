import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';

/**
 * Kernel modules that the guest needs before it sees its disks, or that it loads for good: devices, file
 * systems, and the network when there is one.
 */
const BOOT_MODULES = ['virtio_pci', 'virtio_blk', 'ext4', 'overlay', 'virtio_console', 'virtio_rng'];
const NETWORK_MODULES = ['virtio_net', 'af_packet'];

/**
 * The first program in the guest. It loads drivers, puts a writable layer in memory over the read-only
 * system, mounts the program's disk and the data disk, and hands over.
 */
const FIRST_INIT = `#!/bin/busybox sh
export PATH=/bin
for tool in sh mkdir mount cat insmod sleep switch_root ifconfig route grep; do busybox ln -s busybox /bin/$tool; done
mkdir -p /proc /sys /dev /lower /memory /root
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
while read -r module; do insmod /modules/$module 2>/dev/null; done < /modules/boot
read -r line < /proc/cmdline
case "$line" in *vamos.network=1*) while read -r module; do insmod /modules/$module 2>/dev/null; done < /modules/network;; esac

disk() {
  for try in 1 2 3 4 5 6 7 8 9 10 20 30 40 50; do
    for block in /sys/block/vd*; do
      [ -e $block/serial ] && [ "$(cat $block/serial)" = $1 ] && { echo /dev/\${block##*/}; return; }
    done
    [ "$2" = optional ] && return
    sleep 0.1
  done
  echo "vamos: no disk '$1'" >&2
}

mount -t ext4 -o ro,noatime $(disk root) /lower
mount -t tmpfs -o mode=0755 memory /memory
mkdir -p /memory/upper /memory/work
mount -t overlay -o lowerdir=/lower,upperdir=/memory/upper,workdir=/memory/work overlay /root
mkdir -p /root/opt/vamos /root/data /root/run /root/tmp
mount -t ext4 -o ro,noatime $(disk payload) /root/opt/vamos
data=$(disk data optional)
[ -n "$data" ] && mount -t ext4 -o noatime $data /root/data
mount -t tmpfs tmpfs /root/run
ifconfig lo 127.0.0.1 up
if [ -e /sys/class/net/eth0 ]; then
  ifconfig eth0 10.0.2.15 netmask 255.255.255.0 up
  route add default gw 10.0.2.2
  echo nameserver 10.0.2.3 > /root/etc/resolv.conf
fi
for folder in proc sys dev; do mount -o move /$folder /root/$folder; done
mkdir -p /root/dev/shm /root/dev/pts
mount -t tmpfs tmpfs /root/dev/shm
mount -t devpts devpts /root/dev/pts
exec switch_root /root /sbin/vamos-init
`;

/**
 * Process 1 of the guest's system. It runs the agent, reaps what the agent leaves, and switches the machine
 * off in order.
 */
export const SYSTEM_INIT = `#!/bin/sh
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8
busybox=/usr/lib/vamos/busybox
$busybox hostname guest
mkdir -p /dev/virtio-ports
for port in /sys/class/virtio-ports/*; do
  [ -s $port/name ] || continue
  name=$(cat $port/name)
  ln -sf ../\${port##*/} /dev/virtio-ports/$name
  # What the udev rule of vamos-mariadb does where there is udev.
  case $name in vamos*) grep -q ^mysql: /etc/group && chgrp mysql /dev/\${port##*/} && chmod 660 /dev/\${port##*/};; esac
done
[ -d /opt/vamos/lib ] && export LD_LIBRARY_PATH=/opt/vamos/lib
cd /root
# So that programs here import 'vamos/guest'.
mkdir -p node_modules && ln -sfn /opt/vamos node_modules/vamos
node /opt/vamos/dist/host/vm/agent/agent.js </dev/null
echo "vamos: the agent ended with status $?"
# A database server ends in order.
kill -TERM -1
for try in $(seq 150); do $busybox pidof mariadbd >/dev/null || break; sleep 0.1; done
kill -KILL -1
sync
$busybox umount /data 2>/dev/null
$busybox poweroff -f
`;

/** All that decides what a guest starts with, for the image's key. */
export const BOOT_RECIPE = JSON.stringify([BOOT_MODULES, NETWORK_MODULES, FIRST_INIT, SYSTEM_INIT]);

/** Writes the guest's first file system: busybox, kernel modules in the order they load, and the first program. */
export async function writeInitramfs(options: {
  modules: string;
  busybox: string;
  target: string;
}): Promise<void> {
  const dependencies = parseDependencies(await readFile(path.join(options.modules, 'modules.dep'), 'utf8'));
  const files = new Map<string, Buffer>();
  const add = async (listName: string, names: string[]) => {
    const list: string[] = [];
    for (const file of inLoadOrder(names, dependencies)) {
      const name = path.basename(file);
      files.set(`modules/${name}`, await readFile(path.join(options.modules, file)));
      list.push(name);
    }
    files.set(`modules/${listName}`, Buffer.from(list.map((name) => `${name}\n`).join('')));
  };
  await add('boot', BOOT_MODULES);
  await add('network', NETWORK_MODULES);
  files.set('bin/busybox', await readFile(options.busybox));
  files.set('init', Buffer.from(FIRST_INIT));
  await writeFile(options.target, archive(['bin', 'modules', 'dev'], files));
}

/** Parses modules.dep, which has a line a module: `path: paths it needs`. */
function parseDependencies(text: string): Map<string, string[]> {
  const lines = text.split('\n').filter((line) => line.includes(':'));
  return new Map(
    lines.map((line) => {
      const [file, needs] = line.split(':') as [string, string];
      return [file, needs.split(' ').filter(Boolean)];
    }),
  );
}

/**
 * Returns the paths of these modules and of what they need, needed ones first. A name that is no module is
 * built into the kernel.
 */
function inLoadOrder(names: readonly string[], dependencies: ReadonlyMap<string, string[]>): string[] {
  const byName = new Map<string, string>();
  for (const file of dependencies.keys()) {
    byName.set(
      path
        .basename(file)
        .replace(/\.ko.*$/, '')
        .replaceAll('-', '_'),
      file,
    );
  }
  // ext4 asks for a CRC-32C by name when it mounts, so modules.dep does not list it.
  const roots = ['crc32c_generic', 'crc32c_intel', ...names];
  const order = new Set<string>();
  for (const name of roots) {
    const file = byName.get(name);
    if (file === undefined) continue;
    // modules.dep lists what a module needs with the nearest first.
    for (const needed of [...(dependencies.get(file) ?? [])].reverse()) order.add(needed);
    order.add(file);
  }
  return [...order];
}

/**
 * Makes a cpio archive in the "newc" format that the kernel unpacks (kernel documentation, initramfs buffer
 * format).
 */
function archive(folders: readonly string[], files: ReadonlyMap<string, Buffer>): Buffer {
  const parts: Buffer[] = [];
  let inode = 1;
  const add = (name: string, mode: number, data: Buffer) => {
    const fields = [inode++, mode, 0, 0, 1, 0, data.length, 0, 0, 0, 0, name.length + 1, 0];
    const header = `070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}${name}\0`;
    parts.push(padded(Buffer.from(header)), padded(data));
  };
  for (const folder of folders) add(folder, 0o40755, Buffer.alloc(0));
  for (const [name, data] of files) add(name, 0o100755, data);
  add('TRAILER!!!', 0, Buffer.alloc(0));
  return Buffer.concat(parts);
}

function padded(data: Buffer): Buffer {
  return Buffer.concat([data, Buffer.alloc(-data.length & 3)]);
}
