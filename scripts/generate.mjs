// Generates from the contract (src/protocol/*.proto): message classes (protobufjs static code) and modules of TypeScript into
// src/protocol/generated, copied beside the compiled program where they are JavaScript, and headers of C++ into native/protocol. These
// are committed, since the package's addons are compiled where nothing generates.
//
//   node scripts/generate.mjs [--check] [TREE]   TREE: another root folder than this one, for tests
//   --check: writes nothing; fails where a header of C++ is not what the contract says
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { headersOf } from './contract/cpp.mjs';
import { ContractError, readContract } from './contract/read.mjs';
import { typeScriptOf } from './contract/typescript.mjs';

const { values, positionals } = parseArgs({
  options: { check: { type: 'boolean', default: false } },
  allowPositionals: true,
});
const own = path.resolve(import.meta.dirname, '..');
const root = path.resolve(positionals[0] ?? own);
const folder = path.join(root, 'src/protocol');
const generated = path.join(folder, 'generated');
const headers = path.join(root, 'native/protocol');
const messages = ['messages.js', 'messages.d.ts'];

try {
  const contract = readContract(folder);
  if (values.check) checkHeaders(contract);
  else generate(contract);
} catch (error) {
  if (!(error instanceof ContractError)) throw error;
  console.error(`generate: ${error.message}`);
  process.exit(1);
}

function generate(contract) {
  // First of all, since they refuse what makes no sense.
  const texts = [
    ...[...typeScriptOf(contract)].map(([name, text]) => [path.join(generated, name), text]),
    ...[...headersOf(contract)].map(([name, text]) => [path.join(headers, name), text]),
  ];
  mkdirSync(generated, { recursive: true });
  mkdirSync(headers, { recursive: true });
  makeMessages(contract);
  for (const [file, text] of texts) put(file, text);
  const compiled = path.join(root, 'dist/src/protocol/generated');
  mkdirSync(compiled, { recursive: true });
  for (const name of messages) cpSync(path.join(generated, name), path.join(compiled, name));
}

/** Leaves a file alone that has this text: what is built from it stays current. */
function put(file, text) {
  if (!existsSync(file) || readFileSync(file, 'utf8') !== text) writeFileSync(file, text);
}

function checkHeaders(contract) {
  const expected = headersOf(contract);
  const strays = readdirSync(headers).filter((name) => !expected.has(name));
  const stale = [...expected.keys()].filter((name) => {
    const file = path.join(headers, name);
    return !existsSync(file) || readFileSync(file, 'utf8') !== expected.get(name);
  });
  if (stale.length > 0) {
    throw new ContractError(
      `native/protocol is not what the contract says (${stale.join(', ')}): run npm run generate, and commit what changes`,
    );
  }
  if (strays.length > 0) {
    throw new ContractError(
      `native/protocol has only generated headers; nothing generates ${strays.join(', ')}`,
    );
  }
}

/** The message classes, with protobufjs-cli, which takes a second: only where something is newer than they are. */
function makeMessages(contract) {
  const [javascript, types] = messages.map((name) => path.join(generated, name));
  const scripts = readdirSync(path.join(import.meta.dirname, 'contract'));
  const sources = [
    ...contract.files,
    import.meta.filename,
    ...scripts.map((name) => path.join(import.meta.dirname, 'contract', name)),
  ];
  const newest = Math.max(...sources.map((file) => statSync(file).mtimeMs));
  if ([javascript, types].every((file) => existsSync(file) && statSync(file).mtimeMs > newest)) return;
  const tool = (name) => path.join(own, 'node_modules/protobufjs-cli/bin', name);
  const run = (name, ...options) =>
    execFileSync(process.execPath, [tool(name), ...options], { stdio: ['ignore', 'inherit', 'inherit'] });
  const tree = path.join(generated, 'contract.json');
  writeFileSync(tree, JSON.stringify(contract.root.toJSON({ keepComments: true })));
  run(
    'pbjs',
    ...[
      '-t',
      'static-module',
      '-w',
      'es6',
      '--force-number',
      '--no-delimited',
      '--no-beautify',
      '--no-service',
    ],
    ...['-o', javascript, tree],
  );
  // 64-bit fields are plain numbers, as the types say, though the package `long` is there. Past 2^53 they lose
  // precision: what decodes a hostile peer's checks Number.isSafeInteger.
  writeFileSync(
    javascript,
    readFileSync(javascript, 'utf8').replace(
      /^import \$protobuf from .*\n/m,
      '$&$protobuf.util.Long = null;\n$protobuf.configure();\n',
    ),
  );
  run('pbts', '-o', types, javascript);
}
