// Which Debian this is, what its packages are called there, and what of VAMOS was left out because it could not be had.
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { root } from './shared.mjs';

/** The release on which everything must be there: what is missing stops the set-up instead of being left out. */
const REFERENCE = 12;

/** Debian's release number; that of the reference where this is not Debian. */
export const debian = releaseNumber();

function releaseNumber() {
  const text = existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : '';
  return Number(/^VERSION_ID="?(\d+)/m.exec(text)?.[1] ?? REFERENCE);
}

export const isReference = debian === REFERENCE;

/** The version of clang that is Debian's own: fuzzers are built with it. */
export const clangVersion = isReference ? 14 : 19;

/** Names of packages of Debian 12 that are others since its libraries have 64 bits for times. */
const RENAMED = { libaio1: 'libaio1t64', libssl3: 'libssl3t64' };

export const packageName = (name) => (isReference ? name : (RENAMED[name] ?? name));

const record = path.join(root, 'build/left_out.json');

/** Notes that something could not be had, and says so. */
export function leaveOut(what, reason) {
  mkdirSync(path.dirname(record), { recursive: true });
  writeFileSync(record, JSON.stringify({ ...leftOut(), [what]: reason }, null, 2));
  console.log(`Left out: ${what}. ${reason}`);
}

/** @returns {Record<string, string>} what the set-up left out, and why */
export function leftOut() {
  return existsSync(record) ? JSON.parse(readFileSync(record, 'utf8')) : {};
}

export const forgetLeftOut = () => rmSync(record, { force: true });

export const ENGINE = 'ENGINE=VAMOS';
