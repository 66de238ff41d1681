import type { Connection, RowDataPacket } from 'mysql2/promise';
import { describe, expect, test } from 'vitest';
import { CONDITION_COUNT, initialViolations, violations } from '../../bench/order_entry/consistency.js';
import { firstUndeliveredOrder, load } from '../../bench/order_entry/load.js';
import type { Scale } from '../../bench/order_entry/schema.js';
import { MIX, runTerminals } from '../../bench/order_entry/workload.js';
import { useServer } from '../mariadb/suite.js';

const SCALE: Scale = { warehouses: 2, districts: 4, customers: 30, items: 100 };
const TERMINALS = 8;

const server = useServer();

async function loaded(engine: string, database: string): Promise<Connection[]> {
  await server().query(`CREATE DATABASE ${database}`);
  const connections = await Promise.all(
    Array.from({ length: TERMINALS }, () => server().connect({ database })),
  );
  await load(connections[0]!, engine, SCALE);
  return connections;
}

describe.each(['VAMOS', 'InnoDB'])('ENGINE=%s', (engine) => {
  test('all consistency conditions hold after the five transactions from 8 connections', async () => {
    const connections = await loaded(engine, `mix_${engine}`);
    const connection = connections[0]!;
    expect(await initialViolations(connection, firstUndeliveredOrder(SCALE) - 1)).toEqual([]);
    expect(await violations(connection)).toEqual([]);

    const { transactions } = await runTerminals(connections, SCALE, { deck: MIX, decks: 2 });
    expect(transactions).toEqual({
      'new order': 160,
      payment: 160,
      'order status': 16,
      delivery: 16,
      'stock level': 16,
    });
    expect(await violations(connection)).toEqual([]);
    const [[counts]] = await connection.query<RowDataPacket[]>(
      'SELECT (SELECT COUNT(*) FROM history) AS payments, (SELECT MAX(o_id) FROM orders) AS last',
    );
    expect(counts!.payments).toBe(SCALE.warehouses * SCALE.districts * SCALE.customers + 160);
    expect(counts!.last).toBeGreaterThan(SCALE.customers);
  });
});

test('a change that breaks a condition is found, whichever it is', async () => {
  const [connection] = await loaded('InnoDB', 'broken');
  const breaks: Record<string, string> = {
    1: 'UPDATE warehouse SET w_ytd = w_ytd + 1 WHERE w_id = 1',
    2: 'UPDATE district SET d_next_o_id = d_next_o_id + 1 WHERE d_w_id = 1 AND d_id = 1',
    3: 'DELETE FROM new_order WHERE no_w_id = 1 AND no_d_id = 1 AND no_o_id = 25',
    4: 'DELETE FROM order_line WHERE ol_w_id = 1 AND ol_d_id = 1 AND ol_o_id = 1 AND ol_number = 1',
    5: 'UPDATE orders SET o_carrier_id = NULL WHERE o_w_id = 1 AND o_d_id = 1 AND o_id = 1',
    6: 'UPDATE orders SET o_ol_cnt = o_ol_cnt + 1 WHERE o_w_id = 1 AND o_d_id = 1 AND o_id = 1',
    7: 'UPDATE order_line SET ol_delivery_d = NULL WHERE ol_w_id = 1 AND ol_d_id = 1 AND ol_o_id = 1',
    8: 'UPDATE history SET h_amount = 11 WHERE h_w_id = 1 LIMIT 1',
    9: 'UPDATE district SET d_ytd = d_ytd + 1 WHERE d_w_id = 1 AND d_id = 1',
    10: 'UPDATE customer SET c_balance = c_balance + 1 WHERE c_w_id = 1 AND c_d_id = 1 AND c_id = 1',
    12: 'UPDATE customer SET c_ytd_payment = c_ytd_payment + 1 WHERE c_w_id = 1 AND c_d_id = 1 AND c_id = 1',
  };
  expect(Object.keys(breaks)).toHaveLength(CONDITION_COUNT);
  for (const [condition, change] of Object.entries(breaks)) {
    await connection!.query('START TRANSACTION');
    await connection!.query(change);
    const found = (await violations(connection!)).map((line) => line.split(':')[0]);
    expect(found, change).toContain(`condition ${condition}`);
    await connection!.query('ROLLBACK');
  }
  await connection!.query('DELETE FROM new_order WHERE no_w_id = 1 AND no_d_id = 1 AND no_o_id = 22');
  expect(await initialViolations(connection!, firstUndeliveredOrder(SCALE) - 1)).toHaveLength(1);
});
