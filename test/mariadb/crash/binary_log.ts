import { execFile } from 'node:child_process';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { MariadbServer } from '../../../lab/mariadb/server.js';

/**
 * Plays the server's binary logs on a fresh server with InnoDB alone.
 * @returns for each query, whether both servers answer the same
 */
export async function compareWithLog(server: MariadbServer, queries: string[]): Promise<boolean[]> {
  const files = readdirSync(server.dataFolder).filter((name) => /^binlog\.\d+$/.test(name));
  const bin = path.dirname(server.client.split(' ')[0]!);
  await using replica = await MariadbServer.start({ host: 'none' });
  await promisify(execFile)('sh', [
    '-c',
    `"${bin}/mariadb-binlog" --no-defaults --database=test ${files
      .sort()
      .map((name) => `"${path.join(server.dataFolder, name)}"`)
      .join(' ')} ` +
      // The log's statements name the engine that is not there.
      `| sed 's/ENGINE=VAMOS/ENGINE=InnoDB/' | ${replica.client}`,
  ]);
  const same: boolean[] = [];
  for (const query of queries)
    same.push(JSON.stringify(await server.query(query)) === JSON.stringify(await replica.query(query)));
  return same;
}
