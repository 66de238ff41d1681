// Builds the two Node addons: native/CMakeLists.txt through cmake-js, into build/native.
// cmake-js would download Node's headers; most installations of Node (packages, tarballs, nvm) have them beside the binary.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import path from 'node:path';

const require = createRequire(import.meta.url);
const root = path.resolve(import.meta.dirname, '..');
const prefix = path.resolve(path.dirname(process.execPath), '..');
const environment = { ...process.env };
if (existsSync(path.join(prefix, 'include/node/node_api.h'))) environment.npm_config_nodedir = prefix;

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
    `--CDNODE_ADDON_API_INCLUDE=${require('node-addon-api').include_dir}`,
    '--CDCMAKE_EXPORT_COMPILE_COMMANDS=ON',
    ...process.argv.slice(2),
  ],
  { stdio: 'inherit', env: environment },
);
process.exit(result.status ?? 1);
