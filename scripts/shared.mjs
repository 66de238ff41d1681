// What the scripts share: running programs with progress, and fingerprints of what a step was made from.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';

export const root = path.resolve(import.meta.dirname, '..');

/** A step that failed, with what to show of it. */
export class StepError extends Error {}

/** Seconds since `since` (milliseconds), as text. */
export const seconds = (since) => `${((Date.now() - since) / 1000).toFixed(1)} s`;

/**
 * Runs a program, keeps what it prints, and says every ten seconds (on a terminal: every second, in place) that it is
 * still at it.
 * @param {{title: string, isQuiet?: boolean}} options isQuiet: without saying so
 * @returns {Promise<{output: string, seconds: string}>}
 * @throws StepError with the end of the output
 */
export function run(command, args, { title, isQuiet = false }) {
  const started = Date.now();
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
    const chunks = [];
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => chunks.push(chunk));
    const inPlace = process.stdout.isTTY && !isQuiet;
    const lastLine = () => (chunks.at(-1)?.toString().trim().split('\n').at(-1) ?? '').slice(0, 70);
    const beat = setInterval(
      () => {
        if (isQuiet) return;
        const text = `  … ${title}, ${seconds(started)} ${lastLine()}`;
        process.stdout.write(inPlace ? `\r\x1b[K${text}` : `${text}\n`);
      },
      inPlace ? 1000 : 10_000,
    );
    const finish = (failure) => {
      clearInterval(beat);
      if (inPlace) process.stdout.write('\r\x1b[K');
      const output = Buffer.concat(chunks).toString();
      if (failure === undefined) resolve({ output, seconds: seconds(started) });
      else reject(new StepError(`${title}: ${failure}\n${tail(output)}`.trimEnd(), { cause: output }));
    };
    child.on('error', (error) =>
      finish(error.code === 'ENOENT' ? `${command} is not installed` : `${command}: ${error.message}`),
    );
    child.on('close', (code, signal) => {
      if (code === 0) finish();
      else finish(signal === null ? `${command} ended with ${code}` : `${command} was ended by ${signal}`);
    });
  });
}

function tail(output) {
  const lines = output.trimEnd().split('\n');
  const shown = lines.slice(-80);
  return (lines.length > shown.length ? `[the last 80 of ${lines.length} lines]\n` : '') + shown.join('\n');
}

/** Files below the folders (or the files themselves) whose name the pattern matches, relative to the root, sorted. */
export function filesBelow(places, pattern = /./) {
  const found = [];
  const visit = (place) => {
    const full = path.join(root, place);
    if (!existsSync(full)) return;
    if (!statSync(full).isDirectory()) found.push(place);
    else {
      for (const name of readdirSync(full)) {
        if (name !== 'node_modules' && name !== 'generated') visit(path.join(place, name));
      }
    }
  };
  places.forEach(visit);
  return found.filter((file) => pattern.test(file)).sort();
}

/** Hash of the names and contents of files, and of further facts that the result depends on. */
export function fingerprint(files, facts = []) {
  const hash = createHash('sha256');
  for (const fact of facts) hash.update(`${fact}\0`);
  for (const file of files)
    hash
      .update(`${file}\0`)
      .update(readFileSync(path.join(root, file)))
      .update('\0');
  return hash.digest('hex');
}

/** Runs `make` unless it ran for the same fingerprint before and what it made is still there. */
export async function unlessCurrent(name, print, products, make) {
  const stamp = path.join(root, 'build/stamps', name);
  const isCurrent =
    existsSync(stamp) &&
    readFileSync(stamp, 'utf8') === print &&
    products.every((product) => existsSync(path.join(root, product)));
  if (isCurrent) return false;
  await make();
  mkdirSync(path.dirname(stamp), { recursive: true });
  writeFileSync(stamp, print);
  return true;
}
