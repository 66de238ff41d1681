// `npm run test:package`: packs the package with its prebuilt addons, installs it in an empty folder where no compiler is to be
// found, and runs README's first program there, in one process. Says how long that took and how large it is.
import { mkdtempSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import ts from 'typescript';
import { StepError, root, run, seconds } from './shared.mjs';

/** All that the installation may call. */
const PROGRAMS = ['node', 'npm', 'sh', 'env'];

const folder = mkdtempSync(path.join(tmpdir(), 'vamos-package-'));
try {
  const { output } = await run('npm', ['pack', '--json', `--pack-destination=${folder}`], {
    title: 'npm pack',
  });
  const [{ filename, size }] = JSON.parse(output.slice(output.indexOf('[\n')));
  const place = path.join(folder, 'installed');
  const bin = path.join(folder, 'bin');
  for (const made of [place, bin]) mkdirSync(made);
  for (const program of PROGRAMS) {
    const { output: found } = await run('sh', ['-c', `command -v ${program}`], { title: program });
    symlinkSync(found.trim(), path.join(bin, program));
  }
  const inPlace = (...command) =>
    run('env', ['-i', '-C', place, `PATH=${bin}`, `HOME=${folder}`, ...npmSettings(), ...command], {
      title: command.slice(0, 2).join(' '),
    });
  writeFileSync(path.join(place, 'package.json'), '{ "type": "module" }\n');

  const started = Date.now();
  await inPlace('npm', 'install', '--foreground-scripts', path.join(folder, filename));
  const took = seconds(started);
  const kib = Number(
    (await run('du', ['-sk', path.join(place, 'node_modules')], { title: 'du' })).output.split('\t')[0],
  );
  console.log(
    `Package ${(size / 2 ** 20).toFixed(1)} MiB; installed in ${took}, ${(kib / 1024).toFixed(1)} MiB.`,
  );

  writeFileSync(path.join(place, 'first.js'), firstProgram());
  const { output: said } = await inPlace('node', 'first.js');
  console.log(`README's first program says:\n${said.trim()}`);
  await inPlace('node', 'node_modules/vamos/dist/entry/cli.js', '--version');
} catch (error) {
  if (!(error instanceof StepError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}

/** The registry and the certificates of this machine. */
function npmSettings() {
  return Object.entries(process.env)
    .filter(([name]) => /^(npm_config_|https?_proxy$|no_proxy$|SSL_CERT|NODE_EXTRA_CA_CERTS)/i.test(name))
    .map(([name, value]) => `${name}=${value}`);
}

/** README's first program, for a root of its own in the same process. */
function firstProgram() {
  const readme = readFileSync(path.join(root, 'README.md'), 'utf8');
  const program = /```ts\n([\s\S]*?)```/.exec(readme)[1].replace("'virtio-serial:vamos.0'", "'local:./data'");
  const options = { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext };
  return ts.transpileModule(program, { compilerOptions: options }).outputText;
}
