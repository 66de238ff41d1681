// Tries VAMOS on Debian 13, in a chroot that mmdebstrap makes, on a machine that runs Debian 12 (as root):
//   npm run test:debian13
//   npm run test:debian13 -- carry demo     some of it: carry, demo, package, tests
// The chroot stays in the cache; the tree is brought up to date in it and built with what Debian 13 has (RocksDB 9.10, g++ 14,
// Node 20.19). `carry`: checkpoints go from one release to the other and back, under load at each step, and none may lose a
// transfer. `demo` and `tests` run the two commands of README there. `package` runs README's first
// program over the native parts that were built on Debian 12.
import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  cpSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { StepError, root, run, seconds } from './shared.mjs';

const RELEASE = 'trixie';
const PACKAGES = [
  'ca-certificates',
  'nodejs',
  'npm',
  'git',
  'g++',
  'make',
  'cmake',
  'librocksdb-dev',
  'libprotozero-dev',
  'libuv1-dev',
];
/** What a build leaves in a tree and reads again. */
const KEPT = ['build', 'dist', 'node_modules'];
/** Steps of a bank's way: on which release, and from where to where. */
const WAYS = [
  ['12', 'old-1'],
  ['13', 'old-2', 'old-1'],
  ['12', 'old-3', 'old-2'],
  ['13', 'new-1'],
  ['12', 'new-2', 'new-1'],
  ['13', 'new-3', 'new-2'],
];

const PARTS = { carry, demo, package: prebuilt, tests };

async function main(parts) {
  if (process.getuid() !== 0)
    throw new StepError('A chroot takes root: run this with sudo, or on Debian 13 itself.');
  const started = Date.now();
  const chroot = await debian13();
  await copyTree(path.join(chroot, 'vamos'));
  await inside(chroot, ['node', 'scripts/setup.mjs', 'build'], 'build on Debian 13');
  for (const part of parts) await PARTS[part](chroot);
  console.log(`Debian 13: ${parts.join(', ')} passed (${seconds(started)}).`);
}

async function demo(chroot) {
  const { output } = await inside(chroot, ['npm', 'run', 'demo', '--', '--quick'], 'the demo on Debian 13');
  console.log(output.trimEnd());
}

async function prebuilt(chroot) {
  await run('npm', ['run', 'build:prebuilt'], { title: 'native parts of Debian 12' });
  const target = path.join(chroot, 'vamos/prebuilds');
  rmSync(target, { recursive: true, force: true });
  cpSync(path.join(root, 'prebuilds'), target, { recursive: true });
  const { output } = await inside(chroot, ['node', 'scripts/package.mjs'], 'the package on Debian 13');
  console.log(output.trimEnd());
}

async function tests(chroot) {
  // A test asks git for the files of the tree.
  await inside(chroot, ['sh', '-c', 'git init -q . && git add -A'], 'git init');
  const { output } = await inside(chroot, ['npm', 'test'], 'npm test on Debian 13');
  console.log(output.trimEnd().split('\n').slice(-20).join('\n'));
}

async function carry(chroot) {
  const bank = path.join(chroot, 'vamos/build/carry');
  rmSync(bank, { recursive: true, force: true });
  mkdirSync(bank, { recursive: true });
  for (const [release, to, from] of WAYS) {
    const step = (folder) =>
      ['dist/test/backup/carry-main.js', to, from].map((name, at) =>
        at === 0 || name === undefined ? name : path.join(folder, name),
      );
    const title = `Debian ${release}: ${from === undefined ? 'a new bank' : `from ${from}`} to ${to}`;
    const { output } =
      release === '12'
        ? await run(process.execPath, step(bank).filter(Boolean), { title })
        : await inside(chroot, ['node', ...step('build/carry').filter(Boolean)], title);
    console.log(`${title}: ${output.trim()}`);
  }
  console.log('Checkpoints of Debian 12 open on Debian 13, and those of 13 on 12.');
}

/** The chroot's folder, made where it is missing. */
async function debian13() {
  const { debianRelease, sourcesFile } = await import('../dist/host/vm/debian.js');
  const { cached, hashTexts } = await import('../dist/host/vm/cache.js');
  const release = await debianRelease();
  const sources = (await sourcesFile(release)).replaceAll(release, RELEASE);
  return cached('debian13', hashTexts(sources, ...PACKAGES), { keep: 1 }, async (folder) => {
    const list = path.join(path.dirname(folder), 'debian13.list');
    writeFileSync(list, sources);
    await run('mmdebstrap', ['--variant=apt', `--include=${PACKAGES.join(',')}`, RELEASE, folder, list], {
      title: 'making a chroot of Debian 13',
    });
    rmSync(list);
  });
}

/**
 * Brings the chroot's copy to where the tree is. A file that is as it was keeps its time, so that little is built; one that differs
 * is newer than all that was built from it.
 */
async function copyTree(target) {
  mkdirSync(target, { recursive: true });
  const { output } = await run('git', ['ls-files', '--cached', '--others', '--exclude-standard'], {
    title: 'git ls-files',
  });
  const files = new Set(
    output
      .trim()
      .split('\n')
      .filter((file) => isFile(path.join(root, file))),
  );
  for (const name of readdirSync(target, { recursive: true })) {
    if (!KEPT.includes(name.split('/')[0]) && !files.has(name) && isFile(path.join(target, name)))
      rmSync(path.join(target, name));
  }
  for (const file of files) {
    const [source, copy] = [root, target].map((folder) => path.join(folder, file));
    if (isFile(copy) && readFileSync(source).equals(readFileSync(copy))) continue;
    mkdirSync(path.dirname(copy), { recursive: true });
    copyFileSync(source, copy);
  }
}

const isFile = (file) => statSync(file, { throwIfNoEntry: false })?.isFile() ?? false;

/** Runs a program in the chroot's tree, with mounts that go with it. It trusts the certificates that this machine trusts. */
function inside(chroot, command, title) {
  const script =
    'mount -t proc proc "$0/proc" && mount --rbind /dev "$0/dev" && mount -t tmpfs tmpfs "$0/tmp" && ' +
    'cp /etc/resolv.conf /etc/hosts "$0/etc/" && cp -L /etc/ssl/certs/ca-certificates.crt "$0/etc/ssl/certs/" && ' +
    'exec chroot "$0" sh -c \'cd /vamos && exec "$@"\' sh "$@"';
  return run('unshare', ['--mount', 'sh', '-c', script, chroot, ...command], { title });
}

try {
  if (spawnSync('mmdebstrap', ['--version']).error !== undefined)
    throw new StepError('mmdebstrap is missing: node scripts/setup.mjs demo installs it.');
  const wanted = process.argv.slice(2);
  const unknown = wanted.filter((part) => !(part in PARTS));
  if (unknown.length > 0)
    throw new StepError(`${unknown.join(', ')}: not one of ${Object.keys(PARTS).join(', ')}`);
  await main(wanted.length > 0 ? wanted : Object.keys(PARTS));
} catch (error) {
  if (!(error instanceof StepError)) throw error;
  console.error(error.message);
  process.exit(1);
}
