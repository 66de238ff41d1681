/** A table with an index, a transaction, and questions that the host answers beside the data. */
import { connect, defineTable, t } from 'vamos/guest';

const ORDERS = defineTable({
  name: 'orders',
  columns: { id: t.uint64(), customer: t.uint32(), item: t.text(), cents: t.uint32() },
  primaryKey: ['id'],
  indexes: { byCustomer: { columns: ['customer'] } },
  autoIncrement: 'id',
});

await using vamos = await connect(process.argv[2] ?? 'local:./data');
const orders = await vamos.tables.openOrCreate(ORDERS);

// One request, one commit, synced: nothing of it is lost if the power fails behind this line.
const [tea] = await orders.writeRows([
  { customer: 7, item: 'tea', cents: 450 },
  { customer: 8, item: 'coffee', cents: 520 },
  { customer: 7, item: 'teapot', cents: 3100 },
]);

// Runs again by itself if it meets a deadlock, or if the host was restarted beneath it.
await vamos.tables.transaction(async (transaction) => {
  const rows = transaction.table(orders);
  const row = await rows.get({ id: tea!.id }, { lock: 'exclusive' });
  if (row) await rows.updateRow(row, { item: 'green tea', cents: row.cents + 30 });
});

for await (const { item, cents } of orders.indexScan('byCustomer', { equal: { customer: 7 } })) {
  console.log(`customer 7: ${item}, ${cents} cents`);
}

// Rows that don't pass stay on the host.
for await (const { item } of orders.rndScan({ where: { cents: { lt: 1000 } } })) {
  console.log(`less than 10: ${item}`);
}

const { count, sum } = await orders.aggregate({ where: { customer: 7 }, sum: ['cents'] });
console.log(`customer 7: ${count} orders, ${sum.cents} cents`);
