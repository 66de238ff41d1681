/** CONTRIBUTING's worked example: one hand-written file each for an error code, a limit, a method and a metric. */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { packageRoot } from '../../src/native.js';

let tree: string;
beforeEach(() => {
  // Within the package, so that what is generated finds protobufjs.
  mkdirSync(path.join(packageRoot, 'build'), { recursive: true });
  tree = mkdtempSync(path.join(packageRoot, 'build/contract-'));
  cpSync(path.join(packageRoot, 'src/protocol'), path.join(tree, 'src/protocol'), {
    recursive: true,
    filter: (file) => !file.endsWith('.ts') && !file.endsWith('/generated'),
  });
});
afterEach(() => {
  rmSync(tree, { recursive: true });
});

const run = (command: string, ...args: string[]): string =>
  execFileSync(command, args, { cwd: tree, encoding: 'utf8', stdio: 'pipe' });

const generate = (): string => run(process.execPath, path.join(packageRoot, 'scripts/generate.mjs'), tree);

/** Changes one file of the contract. */
function edit(name: string, change: (text: string) => string): void {
  const file = path.join(tree, 'src/protocol', name);
  const text = readFileSync(file, 'utf8');
  const changed = change(text);
  expect(changed).not.toBe(text);
  writeFileSync(file, changed);
}

const atEndOf = (enumeration: string, lines: string) => (text: string) =>
  text.replace(new RegExp(`(^enum ${enumeration} \\{[^}]*(?:\\{[^}]*\\}[^}]*)*)^\\}`, 'm'), `$1${lines}}`);

/** The worked example's pieces, in their order. */
function example(): string[] {
  const text = readFileSync(path.join(packageRoot, 'CONTRIBUTING.md'), 'utf8');
  const [, section] = /^## Adding an error code(.*?)^## /ms.exec(text) ?? [];
  return [...section!.matchAll(/^```(?:proto|yaml)\n(.*?)^```/gms)].map(([, lines]) => lines!);
}

test('a new code, limit, method and metric are there in both languages after one edit each', () => {
  const [code, limit, method, metric] = example();
  edit('vamos.proto', atEndOf('ErrorCode', code!));
  edit('limits.yaml', (text) => text + limit!);
  edit('files.proto', atEndOf('Method', method!));
  edit('metrics.yaml', (text) => text.replace(/^tables:\n/m, metric!));
  generate();

  writeFileSync(
    path.join(tree, 'src/check.ts'),
    `import { ERROR_PROPERTIES, ErrorCode, type ErrorName } from './protocol/generated/errors.js';
import { MAX_QUOTA_BYTES } from './protocol/generated/limits.js';
import { vamos } from './protocol/generated/messages.js';
import { METHODS } from './protocol/generated/methods.js';
import { METRICS, type MetricsOf, type StoreStatistics } from './protocol/generated/metrics.js';
const code: ErrorName = 'QUOTA_EXCEEDED';
const counted: keyof MetricsOf<'tables'> & keyof StoreStatistics = 'quotaUsedBytes';
console.log(
  JSON.stringify({
    code: ErrorCode[code],
    properties: ERROR_PROPERTIES[code],
    limit: MAX_QUOTA_BYTES,
    method: METHODS.get(vamos.files.Method.READ_QUOTA),
    metric: METRICS.tables[counted],
  }),
);
`,
  );
  const { compilerOptions } = JSON.parse(readFileSync(path.join(packageRoot, 'tsconfig.json'), 'utf8')) as {
    compilerOptions: object;
  };
  writeFileSync(
    path.join(tree, 'tsconfig.json'),
    JSON.stringify({ compilerOptions: { ...compilerOptions, declaration: false }, include: ['src'] }),
  );
  run(process.execPath, path.join(packageRoot, 'node_modules/typescript/bin/tsc'), '-p', tree);
  expect(JSON.parse(run(process.execPath, 'dist/src/check.js'))).toMatchObject({
    code: 190,
    properties: { isRetryable: true, isPassing: true, isUnreachable: false, endsTransaction: false },
    limit: 64 * 2 ** 30,
    method: { module: 'files', name: 'READ_QUOTA', takes: 'StatPath', gives: 'Stat', isRepeatable: true },
    metric: { type: 'gauge', help: 'Bytes of the quota that are used' },
  });

  writeFileSync(
    path.join(tree, 'check.cpp'),
    `#include "protocol/error_code.hpp"
#include "protocol/files_enums.hpp"
#include "protocol/limits.hpp"
#include "protocol/methods.hpp"
#include "protocol/statistics.hpp"
using namespace vamos;
static_assert(static_cast<uint32_t>(ErrorCode::QUOTA_EXCEEDED) == 190);
static_assert(isRetryable(ErrorCode::QUOTA_EXCEEDED) && isPassing(ErrorCode::QUOTA_EXCEEDED));
static_assert(!isUnreachable(ErrorCode::QUOTA_EXCEEDED) && !endsTransaction(ErrorCode::QUOTA_EXCEEDED));
static_assert(maxQuotaBytes == 64ULL << 30);
static_assert(nameOfMethod(files::Method::READ_QUOTA) == "READ_QUOTA");
static_assert(isRepeatable(files::Method::READ_QUOTA) && !writesRows(files::Method::READ_QUOTA));
static_assert(store::Statistics{.quotaUsedBytes = 7}.quotaUsedBytes == 7);
`,
  );
  run('c++', '-std=c++20', '-Wall', '-Wextra', '-Werror', '-fsyntax-only', '-Inative', 'check.cpp');
});

test('what the contract can not mean is refused with its place', () => {
  const message = (): string => {
    try {
      generate();
    } catch (error) {
      return (error as { stderr: string }).stderr;
    }
    return 'generated';
  };
  const refused = (name: string, change: (text: string) => string): string => {
    const file = path.join(tree, 'src/protocol', name);
    const before = readFileSync(file, 'utf8');
    edit(name, change);
    const text = message();
    writeFileSync(file, before);
    return text;
  };
  expect(refused('vamos.proto', (text) => text.replace('(is_given_up)', '(is_given)'))).toContain(
    'options.proto has no option (is_given)',
  );
  expect(
    refused('files.proto', atEndOf('Method', '  LINK = 599 [(method) = { takes: "Link" }];\n')),
  ).toContain('vamos.files has no message Link');
  expect(refused('files.proto', atEndOf('Method', '  LINK = 1025;\n'))).toContain('not of one');
  expect(refused('limits.yaml', (text) => `${text}max_links: some\n`)).toMatch(
    /limits\.yaml:\d+: expected a name/,
  );
  expect(refused('metrics.yaml', (text) => `${text}  # Links\n  links: { type: number }\n`)).toMatch(
    /metrics\.yaml:\d+: expected a name/,
  );
});
