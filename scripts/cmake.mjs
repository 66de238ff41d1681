// Builds of native/ beside the addons': tests, with and without sanitizers, and fuzzers.
import { availableParallelism } from 'node:os';
import { run } from './shared.mjs';

/** Configures a build of native/ (or of a copy of it) without addons, and builds the targets. */
export async function cmake(folder, options, targets = ['all'], source = 'native') {
  await run('cmake', ['-S', source, '-B', folder, '-DVAMOS_ADDONS=OFF', ...options], { title: 'cmake' });
  const parallel = String(Math.min(availableParallelism(), 8));
  await run('cmake', ['--build', folder, '--parallel', parallel, '--target', ...targets], {
    title: `build ${folder}`,
  });
}

/** The native tests as `npm test` builds them, or some of them. */
export async function buildNativeTests(targets) {
  await cmake('build/test', NATIVE_TESTS, targets);
}

export const NATIVE_TESTS = ['-DVAMOS_TESTS=ON', '-DCMAKE_EXPORT_COMPILE_COMMANDS=ON'];
