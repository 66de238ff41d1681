// Builds the two Node addons: native/CMakeLists.txt through cmake-js, into build/native. They use Node-API (see
// native/package.json), whose headers are an npm package, and libuv's header, so that nothing is downloaded.
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import path from 'node:path';

const require = createRequire(import.meta.url);
const root = path.resolve(import.meta.dirname, '..');

const result = spawnSync(
  process.execPath,
  [
    path.join(path.dirname(require.resolve('cmake-js/package.json')), 'bin/cmake-js'),
    'compile',
    '--log-level=warn',
    '--prefer-make',
    '--config=RelWithDebInfo',
    `--parallel=${Math.min(availableParallelism(), 8)}`,
    `--directory=${path.join(root, 'native')}`,
    `--out=${path.join(root, 'build/native')}`,
    `--CDNODE_ADDON_API_INCLUDE=${path.resolve(require('node-addon-api').include_dir)}`,
    `--CDNODE_EXECUTABLE=${process.execPath}`,
    '--CDCMAKE_EXPORT_COMPILE_COMMANDS=ON',
    ...process.argv.slice(2),
  ],
  { stdio: 'inherit' },
);
process.exit(result.status ?? 1);
