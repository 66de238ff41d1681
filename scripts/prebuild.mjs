// Builds the addons that the package brings, for the platform of this machine: `npm run build:prebuilt`, then `npm pack`. The
// libraries of RocksDB go along, so that one binary serves each Debian whose glibc is not older than this one's: a library of
// Debian is not to be linked statically here, since its archive is no position-independent code.
import { copyFileSync, mkdirSync, realpathSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';
import { StepError, root, run } from './shared.mjs';

/** Libraries that each machine with Node has. */
const OF_NODE = /^(linux-vdso|ld-linux|lib(c|m|dl|rt|pthread|gcc_s|stdc\+\+)\.so)/;
const FILES = ['vamos_channel.node', 'vamos_store.node', 'vamos_instructions.so'];

const built = path.join(root, 'build/prebuilt');
const target = path.join(root, 'prebuilds', `${process.platform}-${process.arch}`);

try {
  const compile = [path.join(root, 'scripts/native.mjs'), `--out=${built}`];
  await run(process.execPath, compile, { title: 'native build' });
  rmSync(target, { recursive: true, force: true });
  mkdirSync(target, { recursive: true });
  for (const file of FILES) await add(path.join(built, file), file);
  const { output } = await run('ldd', [path.join(built, 'vamos_store.node')], { title: 'ldd' });
  for (const [, name, file] of output.matchAll(/^\s*(\S+) => (\/\S+)/gm)) {
    if (OF_NODE.test(name)) continue;
    const library = realpathSync(file);
    await add(library, name);
    const { output: owner } = await run('dpkg', ['-S', `*/${path.basename(library)}`], { title: 'dpkg' });
    const debianPackage = owner
      .split('\n')
      .find((line) => !line.startsWith('diversion '))
      .split(/[:,]/)[0];
    copyFileSync(
      `/usr/share/doc/${debianPackage}/copyright`,
      path.join(target, `${debianPackage}.copyright`),
    );
  }
} catch (error) {
  if (!(error instanceof StepError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}

async function add(from, name) {
  const to = path.join(target, name);
  copyFileSync(from, to);
  await run('strip', ['--strip-unneeded', to], { title: 'strip' });
  console.log(`${path.relative(root, to)}: ${(statSync(to).size / 2 ** 20).toFixed(1)} MiB`);
}
