// Writes the shared vectors anew, after a change of the formats or messages that is meant:
//   node dist/test/vectors/make-main.js
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { packageRoot } from '../../src/native.js';
import { vectorLines } from './cases.js';
import { messageLines } from './messages.js';

for (const [file, lines] of [
  ['formats.txt', vectorLines()],
  ['messages.txt', messageLines()],
] as const) {
  writeFileSync(path.join(packageRoot, 'test/vectors', file), `${lines.join('\n')}\n`);
}
