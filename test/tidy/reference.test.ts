/** `npm run docs`: the reference of the public API can be made, and its links lead somewhere. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { packageRoot } from '../../src/native.js';

test('the reference of the public API has no broken link', async () => {
  const { stderr } = await promisify(execFile)('npx', ['--no-install', 'typedoc', '--emit', 'none'], {
    cwd: packageRoot,
    timeout: 110_000,
  });
  expect(stderr).not.toContain('warning');
});
