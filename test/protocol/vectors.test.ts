import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { packageRoot } from '../../src/native.js';
import { vectorLines } from '../vectors/cases.js';
import { messageLines } from '../vectors/messages.js';

function linesOf(file: string): string[] {
  return readFileSync(path.join(packageRoot, 'test/vectors', file), 'utf8')
    .trimEnd()
    .split('\n');
}

describe('the shared vectors', () => {
  it('are the formats, byte for byte', () => {
    expect(vectorLines()).toEqual(linesOf('formats.txt'));
  });

  it('are the messages that C++ speaks, byte for byte', () => {
    expect(messageLines()).toEqual(linesOf('messages.txt'));
  });
});
