import type { ServerOptions } from '../../lab/mariadb/server.js';

/** The engine that the suites of SQL look at; InnoDB shows whether a suite is right by itself. */
export const ENGINE = process.env['VAMOS_TEST_ENGINE'] ?? 'VAMOS';

/** A server whose tables are of that engine where a statement names none. */
export function onEngine(options: ServerOptions = {}): ServerOptions {
  return {
    ...options,
    ...(ENGINE !== 'VAMOS' && { host: 'none' }),
    args: [`--default-storage-engine=${ENGINE}`, ...(options.args ?? [])],
  };
}
