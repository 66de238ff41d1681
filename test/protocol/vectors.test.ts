import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { packageRoot } from '../../src/native.js';
import { vectorLines } from '../vectors/cases.js';

describe('the formats', () => {
  it('are those of the shared vectors, byte for byte', () => {
    const file = path.join(packageRoot, 'test/vectors/formats.txt');
    expect(vectorLines()).toEqual(readFileSync(file, 'utf8').trimEnd().split('\n'));
  });
});
