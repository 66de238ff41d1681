// What the storage engine needs of MariaDB, from Debian alone: a server with its suites and the headers to build a
// plugin for exactly that server, in build/mariadb (a link into the cache of images); then the plugin, in build/plugin.
//
//   build/mariadb/version   Debian's version of all of it
//   build/mariadb/headers   include/, sql/ and wsrep-lib/ of the source package; generated/ and libmysqlservices.a
//                           of the development packages
//   build/mariadb/server    the packages of the server, extracted: nothing of it is installed
//
// A plugin fits one patch version of the server, so the newest version is taken of which source, development and
// server packages are all to be had. It stays until `--newest` looks again. `--sanitize` builds the plugin with
// sanitizers, too, in build/plugin-sanitize.
import { existsSync, lstatSync } from 'node:fs';
import { copyFile, mkdir, readFile, readdir, rename, rm, symlink, unlink, writeFile } from 'node:fs/promises';
import { spawnSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { StepError, filesBelow, fingerprint, root, run, seconds, unlessCurrent } from './shared.mjs';

/** Raised when what is made of the same packages changes. */
const FORMAT = 1;
const DEVELOPMENT = ['libmariadbd-dev', 'libmariadb-dev'];
const SERVER = [
  'mariadb-server-core',
  'mariadb-server',
  'mariadb-client-core',
  'mariadb-client',
  'mariadb-plugin-rocksdb',
  'mariadb-test',
  'mariadb-test-data',
];
/** What the extracted programs load that a minimal Debian 12 lacks; perl runs the server's test suites. */
export const RUNTIME_PACKAGES = [
  'libaio1',
  'libedit2',
  'liblz4-1',
  'libncurses6',
  'libnuma1',
  'libpcre2-8-0',
  'libpcre2-posix3',
  'libsnappy1v5',
  'libssl3',
  'libsystemd0',
  'liburing2',
  'libzstd1',
  'perl',
];

const link = path.join(root, 'build/mariadb');
const products = [
  'version',
  'headers/sql/handler.h',
  'headers/libmysqlservices.a',
  'server/usr/sbin/mariadbd',
];

/**
 * Brings build/mariadb up. What is there is left alone, without a look at the network.
 * @returns whether anything was done
 * @throws StepError
 */
export async function mariadb({ newest = false } = {}) {
  if (!newest && products.every((product) => existsSync(path.join(link, product)))) return false;
  // The compiled program knows this machine's sources and the cache: the guest images use both.
  const { debianRelease, sourcesFile } = await import('../dist/host/vm/debian.js');
  const { cacheDirectory, cached, hashTexts } = await import('../dist/host/vm/cache.js');
  const downloads = path.join(cacheDirectory(), 'mariadb-downloads');
  try {
    const release = await debianRelease();
    const apt = await packageSource(path.join(downloads, 'apt'), await sourcesFile(release));
    let failure;
    for (const version of await completeVersions(apt)) {
      try {
        const key = hashTexts(String(FORMAT), release, version);
        const entry = await cached('mariadb', key, { keep: 3 }, (folder) =>
          make(folder, version, apt, path.join(downloads, encodeURIComponent(version))),
        );
        await pointTo(entry);
        await rm(downloads, { recursive: true, force: true });
        console.log(`MariaDB ${version}: ready`);
        return true;
      } catch (error) {
        if (!(error instanceof StepError)) throw error;
        console.log(`  MariaDB ${version} is not whole: ${lastLines(error.message, 3)}`);
        failure = error;
      }
    }
    throw failure;
  } catch (error) {
    if (error instanceof StepError) throw error;
    throw new StepError(`MariaDB: ${error.message}`, { cause: error });
  }
}

/** `apt-get` and `apt-cache` with package lists of their own, so that source packages are known without root. */
async function packageSource(folder, sources) {
  await mkdir(path.join(folder, 'lists/partial'), { recursive: true });
  const list = path.join(folder, 'sources.list');
  await writeFile(list, sources + sources.replace(/^deb /gm, 'deb-src '));
  const settings = [
    `Dir::Etc::SourceList=${list}`,
    'Dir::Etc::SourceParts=/dev/null',
    `Dir::State::Lists=${path.join(folder, 'lists')}`,
    'Dir::Cache::pkgcache=',
    'Dir::Cache::srcpkgcache=',
    'APT::Sandbox::User=root',
    'Acquire::Retries=3',
  ].flatMap((setting) => ['-o', setting]);
  console.log('MariaDB: fetching the package lists');
  await run('apt-get', [...settings, 'update'], { title: 'apt-get update' });
  return settings;
}

/** Versions of which the lists name every package and the source, newest first. */
async function completeVersions(apt) {
  const packages = [...DEVELOPMENT, ...SERVER];
  const { output } = await run('apt-cache', [...apt, 'madison', 'mariadb', ...packages], {
    title: 'apt-cache',
  });
  const found = new Map();
  for (const line of output.split('\n')) {
    const [name, version, source] = line.split('|').map((field) => field.trim());
    if (source === undefined || source.endsWith('Sources') !== (name === 'mariadb')) continue;
    found.set(version, (found.get(version) ?? new Set()).add(name));
  }
  const whole = [...found]
    .filter(([, names]) => names.size === packages.length + 1)
    .map(([version]) => version);
  if (whole.length === 0) {
    throw new StepError(
      `This machine's package sources have no MariaDB of which source, development and server packages are all ` +
        `there (see /etc/apt). Versions seen: ${[...found.keys()].join(', ') || 'none'}.`,
    );
  }
  const isNewer = (a, b) => spawnSync('dpkg', ['--compare-versions', a, 'gt', b]).status === 0;
  return whole.sort((a, b) => (isNewer(a, b) ? -1 : 1));
}

/** Fills the folder. Downloads stay where they are until all is well: what was fetched is not fetched again. */
async function make(folder, version, apt, downloads) {
  await mkdir(downloads, { recursive: true });
  const started = Date.now();
  const get = (title, ...args) =>
    run('env', ['-C', downloads, 'apt-get', ...apt, ...args], { title: `${title} of MariaDB ${version}` });
  console.log(`MariaDB ${version}: fetching source and packages (about 180 MB)`);
  // The source first: it is what may be missing.
  await get('source', '--download-only', 'source', `mariadb=${version}`);
  await get('packages', 'download', ...[...DEVELOPMENT, ...SERVER].map((name) => `${name}=${version}`));

  console.log(`MariaDB ${version}: extracting (${seconds(started)} so far)`);
  const files = await readdir(downloads);
  const extract = async (name, target) => {
    const file = path.join(
      downloads,
      files.find((each) => each.startsWith(`${name}_`)),
    );
    await run('dpkg-deb', ['-x', file, target], { title: `extracting ${name}` });
  };
  const server = path.join(folder, 'server');
  for (const name of SERVER) await extract(name, server);
  const development = path.join(folder, 'development');
  for (const name of DEVELOPMENT) await extract(name, development);
  const headers = path.join(folder, 'headers');
  await sourceHeaders(
    path.join(
      downloads,
      files.find((name) => /\.orig\.tar\.\w+$/.test(name)),
    ),
    headers,
  );
  await rename(path.join(development, 'usr/include/mariadb/server'), path.join(headers, 'generated'));
  const [services] = await filesNamed(development, /^libmysqlservices\.a$/);
  await copyFile(services, path.join(headers, 'libmysqlservices.a'));
  await rm(development, { recursive: true });
  await writeFile(path.join(folder, 'version'), `${version}\n`);
  await checkVersions(folder);
}

/** Unpacks only those files of a source package that a plugin includes. */
async function sourceHeaders(archive, headers) {
  await mkdir(headers, { recursive: true });
  const wanted = ['include', 'sql/*.h', 'wsrep-lib/include', 'wsrep-lib/wsrep-API/v26'];
  await run(
    'tar',
    [
      ...['-xf', archive, '-C', headers, '--strip-components=1', '--wildcards', '--no-wildcards-match-slash'],
      ...wanted.map((pattern) => `mariadb-*/${pattern}`),
    ],
    { title: 'extracting the headers' },
  );
  // Made by the server's own build: without DTrace it is this file.
  const include = path.join(headers, 'include');
  await rename(
    path.join(include, 'probes_mysql_nodtrace.h.in'),
    path.join(include, 'probes_mysql_nodtrace.h'),
  );
  for (const file of await filesNamed(headers, /(?<!\.h|\.hpp|\.inc)$/)) await unlink(file);
}

async function filesNamed(folder, pattern) {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => !entry.isDirectory() && pattern.test(entry.name))
    .map((entry) => path.join(entry.parentPath ?? entry.path, entry.name));
}

/** The server refuses a plugin of another patch version ('API version … not supported'): found out here, not there. */
async function checkVersions(folder) {
  const text = await readFile(path.join(folder, 'headers/generated/mysql_version.h'), 'utf8');
  const headers = /MYSQL_SERVER_VERSION\s+"([^"]+)"/.exec(text)?.[1];
  const { output } = await run(
    path.join(folder, 'server/usr/sbin/mariadbd'),
    ['--no-defaults', '--version'],
    {
      title: 'mariadbd --version',
    },
  );
  const server = /Ver (\S+)/.exec(output)?.[1];
  if (headers === undefined || !server?.startsWith(headers)) {
    throw new StepError(
      `The headers are of MariaDB ${headers} and the server is ${server}: it would refuse the plugin. Remove ` +
        `${folder} and run \`npm run build:mariadb\`, which takes both from the same version.`,
    );
  }
}

async function pointTo(entry) {
  await mkdir(path.dirname(link), { recursive: true });
  if (existsSync(link) && !lstatSync(link).isSymbolicLink()) await rm(link, { recursive: true });
  const next = `${link}.${process.pid}`;
  await symlink(entry, next);
  await rename(next, link);
}

function lastLines(text, count) {
  return text.trimEnd().split('\n').slice(-count).join('\n    ');
}

/** Sources of the plugin and of what it is built with. */
export const pluginSources = () =>
  filesBelow(
    [
      'guest/mariadb',
      'native/CMakeLists.txt',
      'native/channel',
      'native/client',
      'native/protocol',
      'native/wire',
      'guest/doctor',
      'package.json',
    ],
    /\.(cpp|hpp|txt|json)$/,
  );

/** Configures and builds targets for build/mariadb's server in a folder. */
export async function buildPlugin(folder = 'build/plugin', options = [], targets = ['ha_vamos']) {
  await run(
    'cmake',
    [
      ...['-S', 'native', '-B', folder, '-DVAMOS_ADDONS=OFF', '-DCMAKE_EXPORT_COMPILE_COMMANDS=ON'],
      ...[`-DVAMOS_MARIADB=${path.join(link, 'headers')}`, ...options],
    ],
    { title: 'cmake' },
  );
  const parallel = String(Math.min(availableParallelism(), 8));
  await run('cmake', ['--build', folder, '--parallel', parallel, '--target', ...targets], {
    title: `build ${folder}`,
  });
}

/** The plugin and the doctor for build/mariadb, unless they are current. */
export async function plugin() {
  const version = await readFile(path.join(link, 'version'), 'utf8');
  const made = ['build/plugin/ha_vamos.so', 'build/plugin/vamos-doctor'];
  return unlessCurrent('plugin', fingerprint(pluginSources(), [version]), made, async () => {
    console.log('MariaDB storage engine: building');
    await buildPlugin('build/plugin', [], ['ha_vamos', 'vamos-doctor']);
  });
}

/** The plugin with AddressSanitizer and UndefinedBehaviorSanitizer; lab/mariadb/sanitize.ts loads it. */
export async function sanitizedPlugin() {
  // Without optimisation to speak of, so that what it reports is what is written there.
  const options = ['-DVAMOS_SANITIZE=ON', '-DCMAKE_BUILD_TYPE=Debug', '-DCMAKE_CXX_FLAGS_DEBUG=-O1 -g1'];
  await buildPlugin('build/plugin-sanitize', options);
}

if (process.argv[1] === import.meta.filename) {
  try {
    await mariadb({ newest: process.argv.includes('--newest') });
    await plugin();
    if (process.argv.includes('--sanitize')) await sanitizedPlugin();
  } catch (error) {
    if (!(error instanceof StepError)) throw error;
    console.error(`\n${error.message}`);
    process.exit(1);
  }
}
