// Builds the two Node addons: native/CMakeLists.txt through cmake-js, into build/native; other arguments go to cmake-js. They use
// Node-API (see native/package.json), whose headers are an npm package, and libuv's header, so that nothing is downloaded. Only
// an installed package has no cmake-js: npm fetches it then, since most installations take the prebuilt addons.
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import path from 'node:path';

const require = createRequire(import.meta.url);
const root = path.resolve(import.meta.dirname, '..');

const own = process.argv.slice(2);
const nameOf = (option) => option.split('=')[0];
const defaults = [
  '--config=RelWithDebInfo',
  `--parallel=${Math.min(availableParallelism(), 8)}`,
  `--directory=${path.join(root, 'native')}`,
  `--out=${path.join(root, 'build/native')}`,
].filter((option) => !own.some((other) => nameOf(other) === nameOf(option)));
const [command, ...words] = cmakeJs();
const result = spawnSync(
  command,
  [
    ...words,
    'compile',
    '--log-level=warn',
    '--prefer-make',
    ...defaults,
    `--CDNODE_ADDON_API_INCLUDE=${path.resolve(require('node-addon-api').include_dir)}`,
    `--CDNODE_EXECUTABLE=${process.execPath}`,
    '--CDCMAKE_EXPORT_COMPILE_COMMANDS=ON',
    ...own,
  ],
  { stdio: 'inherit' },
);
if (result.error) console.error(`${command}: ${result.error.message}`);
process.exit(result.status ?? 1);

function cmakeJs() {
  try {
    return [
      process.execPath,
      path.join(path.dirname(require.resolve('cmake-js/package.json')), 'bin/cmake-js'),
    ];
  } catch {
    const { devDependencies } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'));
    return ['npm', 'exec', '--yes', `--package=cmake-js@${devDependencies['cmake-js']}`, '--', 'cmake-js'];
  }
}
