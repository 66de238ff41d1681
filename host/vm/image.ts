import { existsSync } from 'node:fs';
import { chmod, copyFile, mkdir, readFile, realpath, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { cached, hashFile, hashTexts } from './cache.js';
import { debianRelease, sourcesFile, transportOptions } from './debian.js';
import { VmError } from './errors.js';
import { BOOT_RECIPE, SYSTEM_INIT, writeInitramfs } from './initramfs.js';
import { makeDisk } from './disk.js';
import { runTool } from './tools.js';

/** To be raised when a built image would differ although nothing changed that its key names. */
const FORMAT = 1;
const BASE_PACKAGES = ['kmod', 'libstdc++6'];
const EXCLUDED = ['/usr/share/doc/*', '/usr/share/man/*', '/usr/share/locale/*', '/usr/share/info/*'];

/**
 * Runs when the packages are installed: fetches the kernel without its maintainer scripts (which would make
 * an initramfs of their own) and the static busybox that the first program is written in.
 */
const BUILD_HOOK = `set -e
export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"
mkdir -p "$1/vamos" "$1/usr/lib/vamos"
cd "$1/vamos"
kernel=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/.*Depends: \\(linux-image-[0-9].*\\)/\\1/p')
apt-get -q -o APT::Sandbox::User=root download "$kernel" busybox-static
dpkg-deb -x busybox-static_*.deb busybox
# Debian 13 keeps all of these below usr.
for tree in busybox busybox/usr; do
  test ! -e "$tree/bin/busybox" || cp "$tree/bin/busybox" "$1/usr/lib/vamos/busybox"
done
dpkg-deb -x linux-image-*.deb kernel
modules=kernel/lib/modules
test -d "$modules" || modules=kernel/usr/lib/modules
version=$(ls "$modules")
mv kernel/boot/vmlinuz-* vmlinuz
cp -a "$modules" "$1/usr/lib/"
echo "$version" > kernel-version
chroot "$1" depmod "$version"
rm -rf busybox kernel ./*.deb
`;

/** Installs a package file with apt, which installs all that it depends on. */
function installHook(file: string): string {
  const name = `/vamos/${path.basename(file)}`;
  return `set -e
cp '${file.replaceAll("'", "'\\''")}' "$1${name}"
chroot "$1" env DEBIAN_FRONTEND=noninteractive apt-get -q --yes --no-install-recommends install '${name}'
`;
}

export interface ImageOptions {
  /** Debian packages in the guest beside the base, as apt-get takes them: NAME or NAME=VERSION. */
  packages?: string[];
  /** Package files (.deb) of this machine, installed after `packages`. */
  packageFiles?: string[];
  /** Builds anew although there is an image, to get newer Debian packages. */
  rebuild?: boolean;
  onProgress?: (message: string) => void;
  signal?: AbortSignal;
}

/** A guest's system. Guests only read it, so any number of them share one. */
export interface Image {
  folder: string;
  kernel: string;
  initramfs: string;
  rootDisk: string;
  kernelVersion: string;
}

/**
 * Builds the guest image: a minimal system of this machine's Debian release (so that what is built here runs
 * there), Debian's cloud kernel and this machine's Node. It is built once for the same packages, Node and
 * start scripts, then cached.
 * @throws VmError TOOL_MISSING, TOOL_FAILED, BAD_OPTION
 */
export async function buildImage(options: ImageOptions = {}): Promise<Image> {
  const nodeLibrary = await findNodeLibrary();
  const isShared = nodeLibrary !== undefined;
  const wanted = [...BASE_PACKAGES, ...(isShared ? ['nodejs'] : []), ...(options.packages ?? [])];
  const packages = [...new Set(wanted)].sort();
  for (const name of packages) {
    if (!/^[a-z0-9][a-z0-9.+-]+(=[\w.:+~-]+)?$/.test(name)) {
      throw new VmError('BAD_OPTION', `'${name}' is not the name of a Debian package`);
    }
  }
  const release = await debianRelease();
  const recipe = [String(FORMAT), release, packages.join(' '), BUILD_HOOK, BOOT_RECIPE];
  const files = [process.execPath, ...(isShared ? [nodeLibrary] : []), ...(options.packageFiles ?? [])];
  const key = hashTexts(...recipe, ...(await Promise.all(files.map((file) => hashFile(file)))));
  const folder = await cached('image', key, { keep: 4, rebuild: options.rebuild ?? false }, (target) =>
    build(target, release, packages, isShared, options),
  );
  return {
    folder,
    kernel: path.join(folder, 'vmlinuz'),
    initramfs: path.join(folder, 'initramfs'),
    rootDisk: path.join(folder, 'root.ext4'),
    kernelVersion: (await readFile(path.join(folder, 'kernel-version'), 'utf8')).trim(),
  };
}

async function build(
  target: string,
  release: string,
  packages: readonly string[],
  isShared: boolean,
  options: ImageOptions,
): Promise<void> {
  const report = options.onProgress ?? (() => undefined);
  const { signal } = options;
  const tool = signal ? { signal } : {};
  report(`Debian ${release}: fetching and installing packages`);
  const archive = path.join(target, 'system.tar');
  const sources = path.join(target, 'sources');
  await writeFile(sources, await sourcesFile(release));
  await runTool(
    'mmdebstrap',
    [
      '--variant=minbase',
      '--format=tar',
      `--include=${packages.join(',')}`,
      ...(await transportOptions()).map((line) => `--aptopt=${line}`),
      ...EXCLUDED.map((pattern) => `--dpkgopt=path-exclude=${pattern}`),
      `--customize-hook=${BUILD_HOOK}`,
      ...(options.packageFiles ?? []).map((file) => `--customize-hook=${installHook(path.resolve(file))}`),
      // The settings with which apt reached the mirror from here are of no use in the guest.
      '--customize-hook=rm -f "$1/etc/apt/apt.conf.d/99mmdebstrap"',
      release,
      archive,
      sources,
    ],
    {
      ...tool,
      onLine: (line) => {
        const [, step] =
          /^I: ((?:running apt-get|downloading|extracting|installing|creating).*)/.exec(line) ?? [];
        if (step !== undefined) report(step);
      },
    },
  ).catch((error: unknown) => {
    throw withAdvice(error);
  });

  report('unpacking the system');
  const tree = path.join(target, 'tree');
  await mkdir(tree);
  await runTool('tar', [...ownership(), '-xf', archive, '-C', tree], tool);
  await rm(archive);
  for (const name of ['vmlinuz', 'kernel-version']) {
    await copyFile(path.join(tree, 'vamos', name), path.join(target, name));
  }
  await rm(path.join(tree, 'vamos'), { recursive: true });
  await writeFile(path.join(tree, 'sbin/vamos-init'), SYSTEM_INIT, { mode: 0o755 });
  if (!isShared) await installNode(tree);

  report('writing the initramfs');
  const version = (await readFile(path.join(target, 'kernel-version'), 'utf8')).trim();
  await writeInitramfs({
    modules: path.join(tree, 'usr/lib/modules', version),
    busybox: path.join(tree, 'usr/lib/vamos/busybox'),
    target: path.join(target, 'initramfs'),
  });
  report('writing the root disk');
  await makeDisk(path.join(target, 'root.ext4'), { from: tree, journal: false, ...tool });
  await rm(tree, { recursive: true });
  await rm(sources);
}

/**
 * Options for ownership: an ordinary user can't give files to others, so all in the image belongs to root,
 * and only root runs there.
 */
function ownership(): string[] {
  return process.getuid?.() === 0 ? ['--numeric-owner', '-p'] : ['--no-same-owner', '--exclude=./dev/*'];
}

/** Returns Node's library, where this machine's Node is Debian's own: a small program over a library and scripts elsewhere. */
async function findNodeLibrary(): Promise<string | undefined> {
  return /=> (\S*\/libnode\.so\S*)/.exec(await runTool('ldd', [process.execPath]))?.[1];
}

/** Copies this machine's Node into the guest, with the libraries that the guest lacks. */
async function installNode(tree: string): Promise<void> {
  const node = path.join(tree, 'usr/local/bin/node');
  await copyFile(process.execPath, node);
  await chmod(node, 0o755);
  const libraries = path.join(tree, 'usr/local/lib');
  for (const line of (await runTool('ldd', [process.execPath])).split('\n')) {
    const [, name, file] = /^\s*(\S+) => (\/\S+)/.exec(line) ?? [];
    if (name === undefined || file === undefined) continue;
    const known = ['lib/x86_64-linux-gnu', 'usr/lib/x86_64-linux-gnu', 'lib64', 'usr/local/lib'];
    if (known.some((folder) => existsSync(path.join(tree, folder, name)))) continue;
    await copyFile(await realpath(file), path.join(libraries, name));
  }
}

function withAdvice(error: unknown): unknown {
  if (!(error instanceof VmError) || error.code !== 'TOOL_FAILED' || process.getuid?.() === 0) return error;
  const advice =
    'As an ordinary user mmdebstrap needs unprivileged user namespaces ' +
    '(sysctl kernel.unprivileged_userns_clone=1), the package uidmap and a range for the user in /etc/subuid and ' +
    '/etc/subgid; or build the image once as root with the same VAMOS_CACHE.';
  return new VmError(error.code, `${error.message}\n${advice}`, { cause: error });
}
