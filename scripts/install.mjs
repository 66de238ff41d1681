// What npm runs when the package is installed: takes the prebuilt addons where they load, else compiles them.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '..');
const platform = `${process.platform}-${process.arch}`;
const prebuilds = path.join(root, 'prebuilds', platform);

if (existsSync(prebuilds)) {
  const unfit = ['vamos_channel.node', 'vamos_store.node']
    .map(whyUnfit)
    .find((reason) => reason !== undefined);
  if (unfit === undefined) process.exit(0);
  console.warn(`The prebuilt addons for ${platform} do not load here, so they are compiled: ${unfit}`);
}
await import('./native.mjs');

/** Loads an addon in a process of its own, which a library of another ABI may end. */
function whyUnfit(name) {
  const program = 'process.dlopen({ exports: {} }, process.argv[1])';
  const { status, stderr, error } = spawnSync(process.execPath, ['-e', program, path.join(prebuilds, name)], {
    encoding: 'utf8',
  });
  if (status === 0) return undefined;
  return error?.message ?? stderr.match(/^Error: .*/m)?.[0] ?? `${name} ended with ${status}`;
}
