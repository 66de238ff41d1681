// build/package/vamos-mariadb_VERSION_amd64.deb: the storage engine, its settings, the port's udev rule and
// vamos-doctor, for a guest without Node. It fits the server's version in build/mariadb, and says so to apt.
import { execFileSync } from 'node:child_process';
import { chmod, copyFile, mkdir, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { mariadb, plugin } from './mariadb.mjs';
import { StepError, filesBelow, fingerprint, root, run, unlessCurrent } from './shared.mjs';

const SOURCES = 'packaging/mariadb';
const OUTPUT = path.join(root, 'build/package');
const TREE = path.join(root, 'build/package-tree');

/** Where each file goes in a guest, with its mode. */
const FILES = [
  ['build/plugin/ha_vamos.so', 'usr/lib/mysql/plugin/ha_vamos.so', 0o644],
  ['build/plugin/vamos-doctor', 'usr/bin/vamos-doctor', 0o755],
  [`${SOURCES}/vamos.cnf`, 'etc/mysql/mariadb.conf.d/vamos.cnf', 0o644],
  [`${SOURCES}/60-vamos.rules`, 'usr/lib/udev/rules.d/60-vamos.rules', 0o644],
  [`${SOURCES}/copyright`, 'usr/share/doc/vamos-mariadb/copyright', 0o644],
];

/** Makes the package unless it is current. */
export async function packageMariadb() {
  const sources = [
    ...filesBelow([SOURCES, 'package.json']),
    'build/plugin/ha_vamos.so',
    'build/plugin/vamos-doctor',
    'build/mariadb/version',
  ];
  const current = (await readdir(OUTPUT).catch(() => [])).map((name) => path.join('build/package', name));
  const products = current.length > 0 ? current : ['build/package/none'];
  return unlessCurrent('package', fingerprint(sources), products, async () => {
    console.log('Debian package of the storage engine: building');
    await build();
  });
}

async function build() {
  process.umask(0o022);
  await rm(TREE, { recursive: true, force: true });
  for (const [source, target, mode] of FILES) {
    const file = path.join(TREE, target);
    await mkdir(path.dirname(file), { recursive: true });
    await copyFile(path.join(root, source), file);
    await chmod(file, mode);
  }
  for (const binary of FILES.slice(0, 2)) {
    await run('strip', ['--strip-unneeded', path.join(TREE, binary[1])], { title: 'strip' });
  }
  const server = (await readFile(path.join(root, 'build/mariadb/version'), 'utf8')).trim();
  const { version } = JSON.parse(await readFile(path.join(root, 'package.json'), 'utf8'));
  const facts = {
    // A package for another server is another version.
    VERSION: `${version}+mariadb${/\d+\.\d+\.\d+/.exec(server)[0]}`,
    SERVER: server,
    LIBC: installed('libc6'),
    LIBSTDCXX: installed('libstdc++6'),
    SIZE: String(Math.ceil((await sizeBytes(TREE)) / 1024)),
  };
  const control = await readFile(path.join(root, SOURCES, 'control'), 'utf8');
  await mkdir(path.join(TREE, 'DEBIAN'));
  const put = async (name, text, mode) => {
    await writeFile(path.join(TREE, 'DEBIAN', name), text);
    await chmod(path.join(TREE, 'DEBIAN', name), mode);
  };
  await put(
    'control',
    control.replaceAll(/\$\{(\w+)\}/g, (_, name) => facts[name]),
    0o644,
  );
  await put('conffiles', '/etc/mysql/mariadb.conf.d/vamos.cnf\n', 0o644);
  await put('postinst', await readFile(path.join(root, SOURCES, 'postinst'), 'utf8'), 0o755);
  await rm(OUTPUT, { recursive: true, force: true });
  await mkdir(OUTPUT, { recursive: true });
  const deb = path.join(OUTPUT, `vamos-mariadb_${facts.VERSION}_amd64.deb`);
  await run('dpkg-deb', ['--root-owner-group', '--build', TREE, deb], { title: 'dpkg-deb' });
  await rm(TREE, { recursive: true });
}

/** The upstream version of a library here: what is built with it may need all of it. */
function installed(name) {
  const version = execFileSync('dpkg-query', ['-W', '-f', '${Version}', name], { encoding: 'utf8' });
  return version.replace(/-[^-]*$/, '');
}

async function sizeBytes(folder) {
  let bytes = 0;
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) bytes += (await stat(path.join(entry.parentPath ?? entry.path, entry.name))).size;
  }
  return bytes;
}

if (process.argv[1] === import.meta.filename) {
  try {
    await mariadb();
    await plugin();
    await packageMariadb();
    for (const name of await readdir(OUTPUT)) console.log(path.join('build/package', name));
  } catch (error) {
    if (!(error instanceof StepError)) throw error;
    console.error(`\n${error.message}`);
    process.exit(1);
  }
}
