import { defineTable, t } from '../../guest/tables/index.js';

/** A small table for tests of the daemon; `group` ties the rows of one transaction together. */
export const notes = defineTable({
  name: 'notes',
  columns: { id: t.uint32(), group: t.uint32(), text: t.text() },
  primaryKey: ['id'],
});
