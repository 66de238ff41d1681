import { execFile, spawn } from 'node:child_process';
import { createReadStream } from 'node:fs';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { MariadbServer } from '../../lab/mariadb/server.js';
import { CostMeter } from '../sysbench/costs.js';
import { alignColumns, short, size } from '../table.js';

const MIB = 2 ** 20;
const MB = 1_000_000;
const ENGINES = ['VAMOS', 'InnoDB'];
const TABLES = ['people', 'positions', 'payments'];
/** The bytes that a person takes in the dump, with two positions and twelve payments. */
const PERSON_BYTES = 1000;

export interface RestoreOptions {
  megabytes: number;
  cacheMib: number;
  repetitions: number;
}

export async function runRestore({ megabytes, cacheMib, repetitions }: RestoreOptions): Promise<void> {
  await using server = await MariadbServer.start({
    args: [
      `--innodb-buffer-pool-size=${cacheMib * MIB}`,
      '--innodb-log-file-size=512M',
      '--innodb-flush-log-at-trx-commit=1',
    ],
    limits: { blockCacheBytes: cacheMib * MIB },
  });
  console.log('filling the tables');
  for (const statement of schema(Math.round((megabytes * MB) / PERSON_BYTES))) await server.query(statement);
  const dump = server.folder.file('dump.sql');
  await makeDump(server, dump);
  const { size: dumpBytes } = await stat(dump);
  console.log(`a dump of ${size(dumpBytes)}`);
  const files = new Map<string, string>();
  const text = await readFile(dump, 'utf8');
  for (const engine of ENGINES) {
    files.set(engine, server.folder.file(`${engine}.sql`));
    await writeFile(files.get(engine)!, text.replaceAll('ENGINE=InnoDB', `ENGINE=${engine}`));
  }

  const meter = new CostMeter(server);
  const runs: { engine: string; ms: number; cpuMs: number }[] = [];
  const sums = new Set<string>();
  for (let repetition = 0; repetition < repetitions; repetition++) {
    for (const engine of ENGINES) {
      await server.query('DROP DATABASE IF EXISTS restored');
      await server.query('CREATE DATABASE restored');
      const { result: ms, costs } = await meter.measure(async () => {
        const started = performance.now();
        await restore(server, files.get(engine)!);
        return performance.now() - started;
      });
      runs.push({ engine, ms, cpuMs: costs.serverMs + costs.workerMs });
      console.log(
        `${engine}: ${inSeconds(ms)} s; CPU time of mariadbd ${inSeconds(costs.serverMs)} s, of the worker ${inSeconds(costs.workerMs)} s`,
      );
      const tables = TABLES.map((table) => `restored.${table}`).join(', ');
      sums.add(JSON.stringify(await server.query(`CHECKSUM TABLE ${tables}`)));
    }
  }
  if (sums.size !== 1) throw new Error('the engines hold different rows after the restore');
  const median = (engine: string, of: 'ms' | 'cpuMs') => {
    const sorted = runs.filter((run) => run.engine === engine).map((run) => run[of]);
    return sorted.sort((a, b) => a - b)[Math.floor(sorted.length / 2)]!;
  };
  const lines = ENGINES.map((engine) => [
    engine,
    ...(['ms', 'cpuMs'] as const).flatMap((of) => [
      inSeconds(median(engine, of)),
      short(median(engine, of) / median('InnoDB', of)),
    ]),
  ]);
  const head = ['engine', 'seconds', 'of InnoDB', 'CPU seconds', 'of InnoDB'];
  console.log(`\nMedians of ${repetitions}\n\n${alignColumns([head, ...lines])}`);
}

const inSeconds = (ms: number) => (ms / 1000).toFixed(1);

/** Returns statements that make the tables and fill them with the same rows each time. */
function schema(people: number): string[] {
  const payments = people * 12;
  return [
    'CREATE DATABASE source',
    `CREATE TABLE source.people (id INT PRIMARY KEY, born DATE NOT NULL, first_name VARCHAR(14) NOT NULL,
       last_name VARCHAR(16) NOT NULL, city VARCHAR(30), KEY (last_name, first_name), KEY (city)) ENGINE=InnoDB`,
    `CREATE TABLE source.positions (person INT NOT NULL, title VARCHAR(50) NOT NULL, since DATE NOT NULL, notes TEXT,
       PRIMARY KEY (person, title, since), KEY (title)) ENGINE=InnoDB`,
    `CREATE TABLE source.payments (id INT AUTO_INCREMENT PRIMARY KEY, person INT NOT NULL, amount DECIMAL(10,2) NOT NULL,
       paid_at DATETIME NOT NULL, reference CHAR(12) NOT NULL, KEY (person), KEY (paid_at), KEY (reference)) ENGINE=InnoDB`,
    `INSERT INTO source.people SELECT seq, '1950-01-01' + INTERVAL CRC32(seq) MOD 20000 DAY, CONCAT('first', CRC32(seq) MOD 1200),
       CONCAT('last', CRC32(seq * 7) MOD 9000), CONCAT('city ', CRC32(seq * 11) MOD 500) FROM seq_1_to_${people}`,
    `INSERT INTO source.positions SELECT 1 + seq DIV 2, CONCAT('title ', CRC32(seq) MOD 40), '1990-01-01' + INTERVAL seq MOD 9000 DAY,
       REPEAT(CONCAT('note ', seq MOD 97, '. '), seq MOD 12) FROM seq_0_to_${people * 2 - 1}`,
    `INSERT INTO source.payments (person, amount, paid_at, reference) SELECT 1 + CRC32(seq * 3) MOD ${people}, CRC32(seq) MOD 1000000 / 100,
       '2000-01-01' + INTERVAL CRC32(seq * 5) MOD 600000000 SECOND, LPAD(HEX(CRC32(seq * 13)), 12, '0') FROM seq_1_to_${payments}`,
  ];
}

async function makeDump(server: MariadbServer, file: string): Promise<void> {
  const [program, ...args] = clientCommand(server);
  await promisify(execFile)(program!.replace(/\/mariadb$/, '/mariadb-dump'), [
    ...args,
    `--result-file=${file}`,
    'source',
  ]);
}

async function restore(server: MariadbServer, file: string): Promise<void> {
  const [program, ...args] = clientCommand(server);
  const child = spawn(program!, [...args, 'restored'], { stdio: ['pipe', 'inherit', 'inherit'] });
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  await pipeline(createReadStream(file), child.stdin);
  const code = await ended;
  if (code !== 0) throw new Error(`the client that restores ended with ${code}`);
}

/** The client's command line, without the database. */
const clientCommand = (server: MariadbServer): string[] => server.client.split(' ').slice(0, -1);
