import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { AggregatorRegistry, Registry, collectDefaultMetrics } from 'prom-client';
import type { Logger } from 'pino';
import { VamosError } from '../../src/protocol/errors.js';
import { LATENCY_BOUNDS_SECONDS } from './messages.js';
import type { GuestReport, Supervisor } from './supervisor.js';

interface Sample {
  value: number;
  labels: Record<string, string>;
  metricName?: string;
}

interface Metric {
  name: string;
  help: string;
  type: 'counter' | 'gauge' | 'histogram';
  aggregator: 'sum';
  values: Sample[];
}

/** Of counters, those whose meaning their name doesn't give. Workers' counters begin again at 0 when a worker does. */
const HELP: Record<string, string> = {
  sessionsOpen: 'Connectors with a session now',
  requests: 'Requests taken',
  frames: 'Frames of requests taken; requests / frames is the batch size',
  'process.cpuSeconds': 'CPU time of the worker, all threads',
  'process.residentBytes': 'Memory of the worker',
  'tables.syncs': 'WAL syncs; commits / syncs is the group commit size',
};

/** Counters that tell what is now, not what was; all others only rise. */
const GAUGE = /(Open|Held|Parked|InFlight|[tT]hreads|residentBytes)$/;

/** The supervisor's own process: it is the same for every scrape. */
const own = new Registry();
collectDefaultMetrics({ register: own, prefix: 'vamos_daemon_' });

/** Metrics of all guests in Prometheus' text format. */
export async function formatMetrics(guests: GuestReport[]): Promise<string> {
  const metrics = new Map<string, Metric>();
  const add = (name: string, type: Metric['type'], help: string, sample: Sample) => {
    const metric = metrics.get(name) ?? { name, help, type, aggregator: 'sum', values: [] };
    metric.values.push(sample);
    metrics.set(name, metric);
  };
  for (const { name: guest, state, restarts, report } of guests) {
    const labels = { guest };
    add('vamos_guest_up', 'gauge', 'Whether the worker serves and answers', {
      labels,
      value: report ? 1 : 0,
    });
    add('vamos_guest_state', 'gauge', 'The state that the guest is in', {
      labels: { guest, state },
      value: 1,
    });
    add('vamos_restarts_total', 'counter', 'Worker starts beyond the first', { labels, value: restarts });
    for (const [key, value] of Object.entries(report?.counters ?? {})) {
      const isGauge = GAUGE.test(key);
      const name = `vamos_${snakeCase(key)}${isGauge ? '' : '_total'}`;
      add(name, isGauge ? 'gauge' : 'counter', HELP[key] ?? `The worker's ${key}`, { labels, value });
    }
    for (const [module, latency] of Object.entries(report?.latencies ?? {})) {
      const name = 'vamos_request_seconds';
      const help = 'Time from a request to its reply in the worker, waiting for locks and disk with it';
      let total = 0;
      for (const [index, count] of latency.counts.entries()) {
        total += count;
        const le = String(LATENCY_BOUNDS_SECONDS[index] ?? '+Inf');
        add(name, 'histogram', help, {
          labels: { le, guest, module },
          value: total,
          metricName: `${name}_bucket`,
        });
      }
      const module_ = { guest, module };
      add(name, 'histogram', help, { labels: module_, value: latency.sumSeconds, metricName: `${name}_sum` });
      add(name, 'histogram', help, { labels: module_, value: total, metricName: `${name}_count` });
    }
  }
  const gathered = AggregatorRegistry.aggregate([[...metrics.values()]]);
  return `${await own.metrics()}\n${await gathered.metrics()}`;
}

/**
 * Serves /metrics and /healthz.
 * @param address `HOST:PORT`, or a port of the loopback address; port 0: any free one
 * @returns the address it listens on
 * @throws VamosError BAD_CONFIGURATION where it can't listen
 */
export async function serveMetrics(
  address: string,
  supervisor: Supervisor,
  log: Logger,
): Promise<{ address: string; close(): void }> {
  const split = address.lastIndexOf(':');
  const host = split < 0 ? '127.0.0.1' : address.slice(0, split).replace(/^\[|\]$/g, '');
  const port = Number(address.slice(split + 1));
  const server = http.createServer({ headersTimeout: 5000, requestTimeout: 5000 }, (request, response) => {
    answer(request, response, supervisor).catch((error: unknown) => {
      log.error({ error: (error as Error).message }, 'metrics: scrape failed');
      response.writeHead(500).end();
    });
  });
  server.maxConnections = 64;
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) =>
      reject(new VamosError('BAD_CONFIGURATION', `metrics: ${address}: ${cause.message}`, { cause })),
    );
    server.listen(port, host, resolve);
  });
  const bound = server.address() as AddressInfo;
  const boundAddress = `${bound.family === 'IPv6' ? `[${bound.address}]` : bound.address}:${bound.port}`;
  log.info({ metrics: boundAddress }, 'daemon: metrics served');
  return {
    address: boundAddress,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

async function answer(
  request: http.IncomingMessage,
  response: http.ServerResponse,
  supervisor: Supervisor,
): Promise<void> {
  const { pathname } = new URL(request.url ?? '/', 'http://host');
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    response.writeHead(405, { allow: 'GET, HEAD' }).end();
  } else if (pathname === '/metrics') {
    const text = await formatMetrics(await supervisor.report());
    response.writeHead(200, { 'content-type': Registry.PROMETHEUS_CONTENT_TYPE }).end(text);
  } else if (pathname === '/healthz') {
    // The daemon's own health: a guest that can't be served is no reason to restart all the others.
    const isStopping = supervisor.isStopping;
    response.writeHead(isStopping ? 503 : 200).end(isStopping ? 'stopping\n' : 'ok\n');
  } else {
    response.writeHead(404).end('/metrics or /healthz\n');
  }
}

function snakeCase(key: string): string {
  return key
    .replace(/[^A-Za-z0-9]+/g, '_')
    .replace(/([a-z0-9])([A-Z])/g, '$1_$2')
    .toLowerCase();
}
