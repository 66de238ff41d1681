// Writes test/vectors/formats.txt anew, after a change of the formats that is meant:
//   node dist/test/vectors/make-main.js
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { packageRoot } from '../../src/native.js';
import { vectorLines } from './cases.js';

writeFileSync(path.join(packageRoot, 'test/vectors/formats.txt'), `${vectorLines().join('\n')}\n`);
