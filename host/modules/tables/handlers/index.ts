import type { Handler } from '../session.js';
import { blobHandlers } from './blobs.js';
import { changeHandlers } from './changes.js';
import { cursorHandlers } from './cursors.js';
import { definitionHandlers } from './definitions.js';
import { readHandlers } from './reads.js';
import { transactionHandlers } from './transactions.js';
import { writeHandlers } from './writes.js';

/** The handlers of all methods of the module. */
export const handlers: ReadonlyMap<number, Handler> = new Map([
  ...definitionHandlers,
  ...transactionHandlers,
  ...writeHandlers,
  ...changeHandlers,
  ...readHandlers,
  ...cursorHandlers,
  ...blobHandlers,
]);
