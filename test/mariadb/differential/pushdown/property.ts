/** What is pushed to the data means what it means to the server: on, off, and on InnoDB. */
import type { MariadbServer } from '../../../../lab/mariadb/server.js';
import { Sides, type Run } from '../compare.js';
import { SERVER, check, type DifferentialOptions } from '../property.js';
import { makeTable } from './schema.js';
import {
  PREAMBLE,
  insert,
  inspection,
  sequence,
  statementsOf,
  type Sequence,
  type World,
} from './statements.js';

/** Clocks there go back once a year. */
export const PUSHDOWN_SERVER = { ...SERVER, environment: { TZ: 'Europe/Berlin' } };

const SIDES = [
  { name: 'VAMOS', settings: 'vamos_pushdown = ON', connections: 2 },
  { name: 'VAMOS without push-down', engine: 'VAMOS', settings: 'vamos_pushdown = OFF', connections: 2 },
  { name: 'InnoDB', connections: 2 },
];

/**
 * Random sequences of statements mean the same pushed, not pushed, and on InnoDB.
 * @returns how often work was pushed, by the name of its status variable
 * @throws Error with the smallest script that was found for which they don't
 */
export async function checkPushdown(
  server: MariadbServer,
  options: Omit<DifferentialOptions, 'engines'>,
): Promise<Record<string, number>> {
  const before = await pushed(server);
  await check(new Sides(server, SIDES), sequence, run, options);
  const after = await pushed(server);
  return Object.fromEntries(
    Object.entries(after).map(([name, value]) => [name, value - (before[name] ?? 0)]),
  );
}

async function pushed(server: MariadbServer): Promise<Record<string, number>> {
  const rows = await server.query("SHOW GLOBAL STATUS LIKE 'Vamos\\_pushed%'");
  return Object.fromEntries(rows.map((row) => [String(row['Variable_name']), Number(row['Value'])]));
}

async function run({ tables, rows, steps }: Sequence, send: Run): Promise<void> {
  const world: World = { tables: [], nextId: 1, isOpen: false, mayHoldLocks: false, commitsItself: true };
  for (const connection of [0, 1]) await send({ text: PREAMBLE, connection });
  for (const [index, spec] of tables.entries()) {
    const { table, create } = makeTable(`t${index}`, spec);
    for (const sql of create) await send(sql);
    world.tables.push(table);
    await send(insert(table, { ...rows[index]!, bad: 1 }, world));
  }
  for (const step of steps) {
    for (const sql of statementsOf(step, world)) await send(sql);
  }
  await send({ text: 'COMMIT' });
  for (const sql of inspection(world)) await send(sql);
}
