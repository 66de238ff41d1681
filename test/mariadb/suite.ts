import { afterAll, afterEach, beforeAll } from 'vitest';
import { MariadbServer, type ServerOptions } from '../../lab/mariadb/server.js';

/** One server for all tests of a file, made before the first; its logs are shown when a test fails. */
export function useServer(options: ServerOptions = {}): () => MariadbServer {
  let server: MariadbServer | undefined;
  const get = () => {
    if (!server) throw new Error('the server is there only while tests run');
    return server;
  };
  beforeAll(async () => {
    server = await MariadbServer.start(options);
  });
  showLogs(get);
  afterAll(() => server?.[Symbol.asyncDispose]());
  return get;
}

/** Shows what server and host logged during a test that failed. */
export function showLogs(server: () => MariadbServer): void {
  let seen = 0;
  afterEach(({ task }) => {
    const { log, host } = server();
    if (task.result?.state === 'fail') {
      process.stderr.write(`mariadbd during '${task.name}':\n${log.slice(seen)}\n`);
      if (host?.log) process.stderr.write(`host, since its start:\n${host.log.slice(-20_000)}\n`);
    }
    seen = log.length;
  });
}
