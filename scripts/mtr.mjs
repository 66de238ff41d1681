// The server's own test suites for storage engines, on ENGINE=VAMOS over a host worker of their own:
//
//   npm run test:mtr                          all suites; ends with a line a suite: `SUITE: PASSED of TOTAL`
//   npm run test:mtr -- --suite storage_engine/trx --test update --test xa
//   npm run test:mtr -- --engine innodb       the same tests on InnoDB, to compare
//
// The results that Debian ships with the suites are of older versions. So they are recorded anew, on InnoDB, in a private
// copy of the tests (build/mtr), and what VAMOS answers is compared with that; the suites mask the engine's name.
// A failing test's difference is in build/mtr/log.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { sanitizedPlugin } from './mariadb.mjs';
import { StepError, fingerprint, root, seconds } from './shared.mjs';

const server = path.join(root, 'build/mariadb/server/usr');
const place = path.join(root, 'build/mtr');
const base = path.join(place, 'base');
const tests = path.join(base, 'share/mysql/mysql-test');
const logs = path.join(place, 'log');
const recordedFile = path.join(place, 'recorded.json');

/** Suites in the order in which they run: where their tests are, and the server's options beside those of the engine. */
const SUITES = {
  storage_engine: { folder: 'storage_engine', innodb: '', vamos: '' },
  'storage_engine/trx': {
    folder: 'storage_engine/trx',
    innodb: '--innodb-lock-wait-timeout=1',
    vamos: '--vamos-lock-wait-timeout=1',
  },
  'storage_engine/parts': { folder: 'storage_engine/parts', innodb: '', vamos: '' },
  'engines/iuds': {
    folder: 'engines/iuds/t',
    innodb: '--timezone=GMT-3 --default-storage-engine=innodb',
    vamos: '--timezone=GMT-3 --default-storage-engine=vamos',
  },
};

/** What `--fast` runs, for every `npm test`: the suites' tests that take little time, of each kind some. */
const FAST = {
  storage_engine: [
    ...['1st', 'alter_table', 'check_table', 'create_table', 'delete_with_keys', 'index'],
    ...[
      'index_primary',
      'insert_with_keys',
      'loaddata',
      'replace',
      'select',
      'tbl_temporary',
      'truncate_table',
    ],
    ...['type_bit_indexes', 'type_blob', 'type_date_time_indexes', 'type_varchar'],
    ...['update_multi', 'update_with_keys', 'vcol'],
  ],
  'storage_engine/trx': ['cons_snapshot_repeatable_read', 'insert', 'level_read_committed', 'update', 'xa'],
  'engines/iuds': ['delete_decimal', 'insert_time', 'strings_charsets_update_delete', 'update_year'],
};

const { values: options } = parseArgs({
  options: {
    engine: { type: 'string', default: 'vamos' },
    suite: { type: 'string', multiple: true },
    test: { type: 'string', multiple: true },
    record: { type: 'boolean', default: false },
    fast: { type: 'boolean', default: false },
    sanitized: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
if (options.help) {
  console.log(
    [
      'npm run test:mtr -- [OPTIONS]',
      `  --suite SUITE    one of ${Object.keys(SUITES).join(', ')}; may be given again (default: all)`,
      '  --test TEST      this test of the suites only; may be given again',
      '  --fast           a fixed choice of short tests',
      '  --engine ENGINE  vamos (default) or innodb',
      '  --record         record the results on InnoDB again, though they are there',
      '  --sanitized      the plugin with AddressSanitizer and UndefinedBehaviorSanitizer: a finding ends the server',
    ].join('\n'),
  );
  process.exit();
}

const pluginFile = path.join(
  root,
  options.sanitized ? 'build/plugin-sanitize' : 'build/plugin',
  'ha_vamos.so',
);
async function main() {
  if (!['vamos', 'innodb'].includes(options.engine))
    throw new StepError(`--engine ${options.engine}: no such engine`);
  if (options.sanitized) await sanitizedPlugin();
  const chosen = choose();
  prepareTree();
  await record(chosen);
  rmSync(logs, { recursive: true, force: true });
  mkdirSync(logs, { recursive: true });
  const lines = [];
  let failures = 0;
  for (const [suite, names] of chosen) {
    const passed = await runSuite(suite, names);
    failures += names.length - passed;
    lines.push(`${suite}: ${passed} of ${names.length}`);
  }
  console.log(`${seconds(started)}, on ${options.engine === 'vamos' ? 'VAMOS' : 'InnoDB'}`);
  for (const line of lines) console.log(line);
  return failures === 0 ? 0 : 1;
}

/** @returns {[string, string[]][]} suites and the names of their tests that are to run */
function choose() {
  if (!existsSync(path.join(server, 'share/mysql/mysql-test/mariadb-test-run.pl')))
    throw new StepError('build/mariadb is not there: run `npm run build:mariadb`');
  if (options.engine === 'vamos' && !existsSync(pluginFile))
    throw new StepError(`${pluginFile} is not there: run \`npm run build:mariadb\``);
  const chosen = [];
  for (const suite of options.suite ?? Object.keys(SUITES)) {
    if (!(suite in SUITES)) throw new StepError(`--suite ${suite}: no such suite`);
    const all = readdirSync(path.join(server, 'share/mysql/mysql-test/suite', SUITES[suite].folder))
      .filter((name) => name.endsWith('.test'))
      .map((name) => name.slice(0, -'.test'.length))
      .sort();
    const wanted = options.test ?? (options.fast ? (FAST[suite] ?? []) : all);
    const names = all.filter((name) => wanted.includes(name));
    if (names.length > 0) chosen.push([suite, names]);
  }
  const found = chosen.flatMap(([, names]) => names);
  const missing = (options.test ?? []).filter((name) => !found.includes(name));
  if (missing.length > 0) throw new StepError(`--test ${missing.join(', ')}: no such test`);
  return chosen;
}

/** A copy of the test runner and the suites that may be written, among links to the server's files. */
function prepareTree() {
  const print = fingerprint([], [readFileSync(path.join(root, 'build/mariadb/version'), 'utf8'), base]);
  const stamp = path.join(place, 'stamp');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === print) return;
  rmSync(place, { recursive: true, force: true });
  mkdirSync(path.join(tests, 'suite'), { recursive: true });
  mkdirSync(path.join(tests, 'main'));
  for (const name of ['bin', 'sbin']) symlinkSync(path.join(server, name), path.join(base, name));
  const share = path.join(server, 'share/mysql');
  for (const name of readdirSync(share)) {
    if (name !== 'mysql-test') symlinkSync(path.join(share, name), path.join(base, 'share/mysql', name));
  }
  const packaged = path.join(share, 'mysql-test');
  const parts = [
    'include',
    'lib',
    'std_data',
    'collections',
    'mariadb-test-run.pl',
    'suite.pm',
    'valgrind.supp',
  ];
  for (const part of [...parts, 'suite/storage_engine', 'suite/engines'])
    cpSync(path.join(packaged, part), path.join(tests, part), { recursive: true });
  // Tests that are off because of what some engine can't do; and combinations of engines: one runs at a time here.
  for (const file of [
    'storage_engine/disabled.def',
    'engines/iuds/disabled.def',
    'engines/iuds/combinations',
  ])
    rmSync(path.join(tests, 'suite', file));
  // The runner takes plugins from where the server's are.
  const plugins = path.join(base, 'lib/mysql/plugin');
  mkdirSync(plugins, { recursive: true });
  for (const name of readdirSync(path.join(server, 'lib/mysql/plugin')).filter((each) =>
    each.endsWith('.so'),
  ))
    symlinkSync(path.join(server, 'lib/mysql/plugin', name), path.join(plugins, name));
  // The overlay by which the storage_engine suites know InnoDB, without its own results: these are made here.
  const overlay = path.join(tests, 'plugin/innobase/storage_engine');
  cpSync(path.join(packaged, 'plugin/innobase/storage_engine'), overlay, {
    recursive: true,
    filter: (file) => !/\.(rdiff|def)$/.test(file),
  });
  // What this prints of a wait that did not come has numbers of connections and seconds: not the same twice.
  const include = path.join(tests, 'include/wait_show_condition.inc');
  const text = readFileSync(include, 'utf8');
  writeFileSync(include, text.replace(/^( *)eval \$show_statement;/gm, '$1--replace_column 1 # 6 #\n$&'));
  writeFileSync(stamp, print);
}

/** Makes the suites run on the engine. @returns the name by which the runner knows the suite then */
function configure(suite, engine, channel) {
  const own = SUITES[suite][engine];
  const common =
    engine === 'innodb' ? '--innodb' : `--innodb --plugin-load-add=ha_vamos.so --vamos-channel=${channel}`;
  const serverOptions = `${common} ${own}\n`;
  if (suite.startsWith('engines/')) {
    writeFileSync(path.join(tests, 'suite', suite, 'suite.opt'), serverOptions);
    return suite;
  }
  const name = engine === 'innodb' ? 'innobase' : 'vamos';
  const overlay = path.join(tests, 'plugin', name, suite);
  mkdirSync(overlay, { recursive: true });
  writeFileSync(path.join(overlay, 'suite.opt'), serverOptions);
  if (engine === 'vamos') {
    const definition = readFileSync(path.join(tests, 'suite/storage_engine/define_engine.inc'), 'utf8');
    const target = path.join(tests, 'plugin/vamos/storage_engine/define_engine.inc');
    mkdirSync(path.dirname(target), { recursive: true });
    writeFileSync(target, definition.replace('# let $ENGINE =;', 'let $ENGINE = VAMOS;'));
  }
  return `${suite}-${name}`;
}

/** Records on InnoDB what was not recorded yet. */
async function record(chosen) {
  const recorded = existsSync(recordedFile) ? JSON.parse(readFileSync(recordedFile, 'utf8')) : {};
  for (const [suite, names] of chosen) {
    const done = new Set(options.record ? [] : recorded[suite]);
    const missing = names.filter((name) => !done.has(name));
    if (missing.length === 0) continue;
    console.log(`${suite}: recording ${missing.length} results on InnoDB`);
    const report = await runner(configure(suite, 'innodb'), missing, ['--record', '--force']);
    if (report.results.size === 0) throw new StepError(`${suite}: the runner ran no test\n${report.output}`);
    for (const [name, result] of report.results) {
      if (result !== 'pass') console.log(`  ${name}: InnoDB gives no result (${result})`);
      done.add(name);
    }
    recorded[suite] = [...new Set([...(recorded[suite] ?? []), ...done])].sort();
    writeFileSync(recordedFile, JSON.stringify(recorded, null, 1));
  }
}

/**
 * Runs the tests. A failing one ends the runner, which then goes on with those behind it over an empty host: tables that
 * it left there would be found by the next ones.
 * @returns {Promise<number>} how many passed
 */
async function runSuite(suite, names) {
  let rest = names;
  let passed = 0;
  while (rest.length > 0) {
    const host = options.engine === 'vamos' ? await Host.start() : undefined;
    let report;
    try {
      const force = host === undefined ? ['--force'] : [];
      report = await runner(configure(suite, options.engine, host?.channel), rest, force);
    } finally {
      await host?.stop();
    }
    if (report.results.size === 0) throw new StepError(`${suite}: the runner ran no test\n${report.output}`);
    for (const [name, result] of report.results) {
      if (result === 'pass') passed++;
      else {
        const log = path.join(logs, `${suite.replaceAll('/', '.')}.${name}.txt`);
        writeFileSync(log, `${report.texts.get(name)}\n${host?.log ?? ''}`);
        console.log(`  ${suite}.${name}: ${result}, see ${path.relative(root, log)}`);
        if (options.test !== undefined) console.log(report.texts.get(name));
      }
    }
    rest = rest.filter((name) => !report.results.has(name));
  }
  return passed;
}

/**
 * One run of the server's test runner.
 * @returns {Promise<{results: Map<string, string>, texts: Map<string, string>, output: string}>} what became of each test
 * ('pass', 'fail', 'skipped', 'disabled') and what was printed of it
 */
async function runner(suite, names, more) {
  const plugin = path.join(base, 'lib/mysql/plugin/ha_vamos.so');
  rmSync(plugin, { force: true });
  if (existsSync(pluginFile)) symlinkSync(pluginFile, plugin);
  const args = ['mariadb-test-run.pl', `--suite=${suite}`, `--vardir=${path.join(place, 'var')}`];
  args.push('--max-test-fail=0', '--retry=0', '--nowarnings', '--nocheck-testcases', '--timer');
  if (options.sanitized) args.push(...sanitizerSettings().map((setting) => `--mysqld-env=${setting}`));
  const child = spawn('perl', [...args, ...more, ...names], {
    cwd: tests,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const results = new Map();
  const texts = new Map();
  let output = '';
  let partial = '';
  let current;
  const take = (line) => {
    const match = /^\S+\.(\w+)(?: '[\w,]+')?\s+(?:w\d+ )?\[ (\w+) \]/.exec(line);
    if (match) {
      current = match[1];
      results.set(current, match[2]);
      const done = `  ${suite}: ${results.size} of ${names.length}`;
      if (process.stdout.isTTY) process.stdout.write(`\r\x1b[K${done} ${current}`);
      else if (results.size % 25 === 0) console.log(done);
    }
    if (current !== undefined) texts.set(current, `${texts.get(current) ?? ''}${line}\n`);
  };
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => {
      output += text;
      const whole = (partial + text).split('\n');
      partial = whole.pop();
      whole.forEach(take);
    });
  }
  const interrupt = () => child.kill('SIGINT');
  process.once('SIGINT', interrupt);
  const [failure] = await Promise.race([once(child, 'close'), once(child, 'error')]);
  process.off('SIGINT', interrupt);
  if (failure instanceof Error) throw new StepError(`perl: ${failure.message}`);
  if (process.stdout.isTTY) process.stdout.write('\r\x1b[K');
  return { results, texts, output };
}

/** The server itself is not sanitized: the runtime has to be there first, and what its headers poison it uses all the same. */
function sanitizerSettings() {
  const library = (name) => execFileSync('g++', [`-print-file-name=${name}`], { encoding: 'utf8' }).trim();
  return [
    `LD_PRELOAD=${library('libasan.so')}:${library('libubsan.so')}`,
    'ASAN_OPTIONS=detect_leaks=0:abort_on_error=1:allow_user_poisoning=0',
    'UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1:abort_on_error=1',
  ];
}

/** A daemon with one guest over an empty root. */
class Host {
  #folder = mkdtempSync(path.join(os.tmpdir(), 'vamos-mtr-'));
  channel = `unix:${path.join(this.#folder, 'channel.sock')}`;
  log = '';
  #child;

  static async start() {
    const host = new Host();
    const args = ['host', '--root', path.join(host.#folder, 'root'), '--channel', host.channel];
    args.push('--control', path.join(host.#folder, 'control.sock'), '--log-level', 'warn');
    const cacheBytes = process.env.VAMOS_TEST_CACHE_BYTES;
    if (cacheBytes !== undefined) args.push('--limit', `cacheBytes=${cacheBytes}`);
    host.#child = spawn(process.execPath, [path.join(root, 'dist/entry/cli.js'), ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    host.#child.stderr.setEncoding('utf8').on('data', (text) => (host.log += text));
    const ended = once(host.#child, 'exit').then(() => {
      throw new StepError(`the host ended: ${host.log}`);
    });
    ended.catch(() => undefined);
    let said = '';
    const serving = new Promise((resolve) => {
      host.#child.stdout.setEncoding('utf8').on('data', (text) => {
        said += text;
        if (said.includes('vamos: serving')) resolve();
      });
    });
    await Promise.race([serving, ended]);
    return host;
  }

  async stop() {
    if (this.#child.exitCode === null) {
      this.#child.kill('SIGTERM');
      await once(this.#child, 'exit');
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

const started = Date.now();
try {
  process.exitCode = await main();
} catch (error) {
  if (!(error instanceof StepError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
