// Brings a machine to where `purpose` (build, demo, bench or test) runs: Debian packages, npm packages, the native build,
// the compiled program and, beyond `build`, MariaDB with the storage engine. What is there already is left alone, so
// the second time takes a fraction of a second.
// Runs with Node alone: on a fresh machine there is no node_modules yet.
//
// VAMOS_SKIP_PACKAGES=1 leaves the machine's packages to you.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';

const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 20 || (major === 20 && minor < 17)) {
  console.error(`VAMOS needs Node 20.17 or later; this is ${process.version} (${process.execPath}).`);
  process.exit(1);
}
const { RUNTIME_PACKAGES, mariadb, plugin } = await import('./mariadb.mjs');
const { packageMariadb } = await import('./package_mariadb.mjs');
const { ENGINE, clangVersion, debian, forgetLeftOut, isReference, leaveOut, packageName } =
  await import('./debian.mjs');
const { StepError, filesBelow, fingerprint, root, run, seconds, unlessCurrent } =
  await import('./shared.mjs');

// What each purpose needs of Debian, by the names of Debian 12. The guest image's own packages are fetched by `vamos vm` itself.
const BUILD = ['g++', 'make', 'cmake', 'librocksdb-dev', 'libprotozero-dev'];
// The channel addon polls on Node's own event loop: its header comes with most installations of Node, else from Debian.
if (!existsSync(path.resolve(process.execPath, '../../include/node/uv.h'))) BUILD.push('libuv1-dev');
const VM = ['qemu-system-x86', 'mmdebstrap', 'e2fsprogs'];
const CHECK = [
  `clang-${clangVersion}`,
  `libclang-rt-${clangVersion}-dev`,
  'doctest-dev',
  // Other versions format and judge otherwise.
  ...(isReference ? [`clang-format-${clangVersion}`, `clang-tidy-${clangVersion}`] : []),
];
const PACKAGES = {
  build: BUILD,
  demo: [...BUILD, ...VM],
  bench: [...BUILD, ...VM, ...RUNTIME_PACKAGES, 'sysbench'],
  test: [...BUILD, ...VM, ...RUNTIME_PACKAGES, ...CHECK],
};

const purpose = process.argv[2] ?? 'build';
if (!(purpose in PACKAGES)) {
  console.error(`usage: node scripts/setup.mjs [${Object.keys(PACKAGES).join('|')}]`);
  process.exit(2);
}

try {
  const started = Date.now();
  const changed = [
    await debianPackages(PACKAGES[purpose].map(packageName)),
    await npmPackages(),
    await native(),
    await typescript(),
    purpose !== 'build' && (await engine()),
  ];
  if (changed.includes(true)) console.log(`Set up in ${seconds(started)}.`);
} catch (error) {
  if (!(error instanceof StepError)) throw error;
  console.error(`\nThe set-up stopped. ${error.message}`);
  process.exit(1);
}

/**
 * The storage engine with a server for it. On a release whose sources have no MariaDB of which all is there, it is left out, and
 * the rest runs; benchmarks are of nothing without it.
 */
async function engine() {
  forgetLeftOut();
  let isNew;
  try {
    isNew = await mariadb();
  } catch (error) {
    if (!(error instanceof StepError) || isReference || purpose === 'bench') throw error;
    leaveOut(
      ENGINE,
      `Debian ${debian} as this machine gets it has no MariaDB with its source: ${error.message}`,
    );
    return false;
  }
  const made = [isNew, await plugin(), await packageMariadb()];
  return made.includes(true);
}

/** The packages of the list that dpkg does not have installed. */
function missingPackages(packages) {
  const { stdout } = spawnSync('dpkg-query', ['-W', '-f', '${Package} ${db:Status-Status}\n', ...packages], {
    encoding: 'utf8',
  });
  const installed = new Set(stdout?.split('\n').filter((line) => line.endsWith(' installed')));
  return packages.filter((name) => !installed.has(`${name} installed`));
}

async function debianPackages(packages) {
  if (process.env.VAMOS_SKIP_PACKAGES === '1') return false;
  if (spawnSync('apt-get', ['--version']).error !== undefined) {
    throw new StepError(
      `This machine has no apt-get: the set-up knows Debian. Install the counterparts of these packages yourself, ` +
        `then run it again with VAMOS_SKIP_PACKAGES=1:\n  ${packages.join(' ')}`,
    );
  }
  const missing = missingPackages(packages);
  if (missing.length === 0) return false;

  const asRoot = rootPrefix(missing);
  console.log(`Debian packages: installing ${missing.join(' ')}`);
  const apt = (...args) => {
    const settings = ['DEBIAN_FRONTEND=noninteractive', 'LC_ALL=C'];
    const command = [...asRoot, 'env', ...settings, 'apt-get', '-o', 'DPkg::Lock::Timeout=300', ...args];
    return run(command[0], command.slice(1), { title: `apt-get ${args[0]}` }).catch((error) => error);
  };
  const install = () => apt('install', '--yes', '--no-install-recommends', ...missing);
  let outcome = await install();
  if (!(outcome instanceof StepError)) return true;

  // Package lists that are absent or out of date name packages that are not to be had: fetch them, once.
  console.log('  fetching the package lists');
  const lists = await apt('update');
  outcome = await install();
  if (!(outcome instanceof StepError)) return true;
  const unknown = missing.filter((name) => !hasCandidate(name));
  throw new StepError(
    [
      unknown.length > 0
        ? `The package sources of this machine have no ${unknown.join(', ')} (Debian's main has them; see /etc/apt).`
        : `apt-get could not install ${missing.join(' ')}.`,
      ...(lists instanceof StepError ? [`The package lists can't be fetched: is this machine offline?`] : []),
      outcome.message,
    ].join('\n'),
  );
}

function hasCandidate(name) {
  const { stdout } = spawnSync('apt-cache', ['policy', name], {
    encoding: 'utf8',
    env: { ...process.env, LC_ALL: 'C' },
  });
  return /Candidate: (?!\(none\))/.test(stdout ?? '');
}

/** How to run a program as root here. */
function rootPrefix(missing) {
  if (process.getuid() === 0) return [];
  if (spawnSync('sudo', ['-n', 'true'], { stdio: 'ignore' }).status === 0) return ['sudo', '-n'];
  // On a terminal sudo may ask for the password, before its output goes through a pipe.
  if (process.stdin.isTTY && spawnSync('sudo', ['-v'], { stdio: 'inherit' }).status === 0) return ['sudo'];
  throw new StepError(
    `These packages are missing, and installing them takes root or sudo:\n` +
      `  apt-get install --no-install-recommends ${missing.join(' ')}`,
  );
}

/** Whether node_modules holds what package-lock.json names (npm keeps a lock of its own there, written last). */
function hasNpmPackages() {
  const file = path.join(root, 'node_modules/.package-lock.json');
  if (!existsSync(file)) return false;
  const wanted = JSON.parse(readFileSync(path.join(root, 'package-lock.json'), 'utf8')).packages;
  const present = JSON.parse(readFileSync(file, 'utf8')).packages;
  return Object.entries(wanted).every(
    ([name, { version, optional }]) =>
      name === '' || (present[name] ? present[name].version === version : optional),
  );
}

async function npmPackages() {
  if (hasNpmPackages()) return false;
  console.log('npm packages: installing what package-lock.json names');
  try {
    // Without install scripts: the only one that matters is our own build, and that comes next.
    await run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], { title: 'npm ci' });
  } catch (error) {
    const offline = /ENOTFOUND|EAI_AGAIN|ETIMEDOUT|ECONNREFUSED|ENETUNREACH/.test(error.message);
    throw new StepError(`${offline ? 'The npm registry does not answer.\n' : ''}${error.message}`);
  }
  return true;
}

/** Node's version and RocksDB's: other ones need another build. */
function machineFacts() {
  let rocksdb = 'none';
  try {
    rocksdb = execFileSync('dpkg-query', ['-W', '-f', '${Version}', 'librocksdb-dev'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
  } catch {
    // Not Debian, or not installed: then CMake finds it or builds without.
  }
  return [process.version, process.arch, process.execPath, rocksdb];
}

function native() {
  const files = filesBelow(
    ['native', 'scripts/native.mjs', 'package-lock.json'],
    /\.(cpp|hpp|h|txt|mjs|json)$/,
  );
  const products = ['build/native/vamos_channel.node'];
  return unlessCurrent('native', fingerprint(files, machineFacts()), products, async () => {
    console.log('Native addons: building (CMake, RocksDB)');
    await run(process.execPath, ['scripts/native.mjs'], { title: 'native build' });
  });
}

function typescript() {
  const files = filesBelow(
    [
      'src',
      'guest',
      'host',
      'entry',
      'lab',
      'bench',
      'test',
      'examples',
      'tsconfig.json',
      'scripts/generate.mjs',
      'scripts/contract',
      'package-lock.json',
    ],
    /\.(ts|proto|yaml|json|mjs)$/,
  );
  const products = ['dist/entry/cli.js', 'src/protocol/generated/messages.js'];
  return unlessCurrent('typescript', fingerprint(files), products, async () => {
    console.log('TypeScript: compiling');
    await run(process.execPath, ['scripts/generate.mjs'], { title: 'message classes' });
    await run(process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.json'], { title: 'tsc' });
  });
}
