import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { packageRoot } from '../../src/native.js';
import type { ServerOptions } from './server.js';

/**
 * Options for the plugin built with AddressSanitizer and UndefinedBehaviorSanitizer (`npm run build:mariadb
 * -- --sanitize`), in Debian's server, which is not built so: the sanitizer's runtime must be loaded first. A
 * finding ends the server, which the suite sees.
 */
export function sanitized(): ServerOptions {
  const library = (name: string) =>
    execFileSync('g++', [`-print-file-name=${name}`], { encoding: 'utf8' }).trim();
  return {
    plugin: path.join(packageRoot, 'build/plugin-sanitize/ha_vamos.so'),
    environment: {
      LD_PRELOAD: `${library('libasan.so')}:${library('libubsan.so')}`,
      // The server itself leaks what it holds to its end, and does not know that memory is poisoned which its
      // headers poison.
      ASAN_OPTIONS: 'detect_leaks=0:abort_on_error=1:allow_user_poisoning=0:detect_stack_use_after_return=1',
      UBSAN_OPTIONS: 'print_stacktrace=1:halt_on_error=1:abort_on_error=1',
    },
  };
}
