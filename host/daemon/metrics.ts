import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { AggregatorRegistry, Registry, collectDefaultMetrics } from 'prom-client';
import type { Logger } from 'pino';
import { VamosError } from '../../src/protocol/errors.js';
import { LATENCY_BUCKETS } from '../../src/rpc/host/statistics.js';
import { metricOf, namesOfMethod } from '../modules/registry.js';
import type { Report } from './messages.js';
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

/** Metrics of the supervisor's own process. */
const own = new Registry();
collectDefaultMetrics({ register: own, prefix: 'vamos_daemon_' });

/** Metrics of one scrape, by name. */
class Exposition {
  readonly metrics = new Map<string, Metric>();

  counter(name: string, help: string, labels: Sample['labels'], value: number): void {
    this.#add(`${name}_total`, 'counter', help, { labels, value });
  }

  gauge(name: string, help: string, labels: Sample['labels'], value: number): void {
    this.#add(name, 'gauge', help, { labels, value });
  }

  /**
   * Adds a histogram.
   * @param buckets not cumulative; the last one has no upper bound
   */
  histogram(
    name: string,
    help: string,
    labels: Sample['labels'],
    { bounds, buckets, sum }: { bounds: number[]; buckets: number[]; sum: number },
  ): void {
    let total = 0;
    for (const [index, count] of buckets.entries()) {
      total += count;
      const le = String(index < buckets.length - 1 ? bounds[index] : '+Inf');
      this.#add(name, 'histogram', help, {
        labels: { ...labels, le },
        value: total,
        metricName: `${name}_bucket`,
      });
    }
    this.#add(name, 'histogram', help, { labels, value: sum, metricName: `${name}_sum` });
    this.#add(name, 'histogram', help, { labels, value: total, metricName: `${name}_count` });
  }

  #add(name: string, type: Metric['type'], help: string, sample: Sample): void {
    const metric = this.metrics.get(name) ?? { name, help, type, aggregator: 'sum', values: [] };
    metric.values.push(sample);
    this.metrics.set(name, metric);
  }
}

const LATENCY_BOUNDS_SECONDS = Array.from({ length: LATENCY_BUCKETS }, (_, index) => 2 ** index / 1e6);

/**
 * Returns the metrics of all guests in Prometheus' text format. A worker's counters begin again at 0 when it
 * is started again.
 */
export async function formatMetrics(guests: GuestReport[]): Promise<string> {
  const exposition = new Exposition();
  for (const { name: guest, state, restarts, report } of guests) {
    const labels = { guest };
    exposition.gauge('vamos_guest_up', 'Whether the worker serves and answers', labels, report ? 1 : 0);
    exposition.gauge('vamos_guest_state', 'The state that the guest is in', { guest, state }, 1);
    exposition.counter('vamos_worker_restarts', 'Worker starts beyond the first', labels, restarts);
    if (report) addReport(exposition, guest, report);
  }
  const gathered = AggregatorRegistry.aggregate([[...exposition.metrics.values()]]);
  return `${await own.metrics()}\n${await gathered.metrics()}`;
}

function addReport(exposition: Exposition, guest: string, { server, modules, process }: Report): void {
  const labels = { guest };
  const counter = (name: string, help: string, value: number) =>
    exposition.counter(name, help, labels, value);
  const gauge = (name: string, help: string, value: number) => exposition.gauge(name, help, labels, value);
  gauge('vamos_sessions', 'Connectors with a session', server.sessions.length);
  counter('vamos_sessions_started', 'Sessions since the worker started', server.sessionsStarted);
  counter('vamos_requests', 'Requests taken', server.requests);
  counter(
    'vamos_request_frames',
    'Frames that carried requests: requests / frames is the batch',
    server.requestFrames,
  );
  gauge('vamos_requests_parked', 'Requests that wait for a lock or the disk', server.parked);
  counter('vamos_frames_received', 'Frames of all kinds from connectors', server.channels.framesReceived);
  counter('vamos_frames_sent', 'Frames of all kinds to connectors', server.channels.framesSent);
  counter('vamos_bytes_received', 'Bytes from connectors, with frame headers', server.channels.bytesReceived);
  counter('vamos_bytes_sent', 'Bytes to connectors, with frame headers', server.channels.bytesSent);
  counter('vamos_channel_reads', 'System calls that read channels', server.channels.readCalls);
  counter('vamos_channel_writes', 'System calls that wrote channels', server.channels.writeCalls);
  counter('vamos_worker_cpu_seconds', 'CPU time of the worker, all threads', process.cpuSeconds);
  gauge('vamos_worker_resident_bytes', 'Memory of the worker', process.residentBytes);
  for (const [code, count] of Object.entries(server.sessionsEnded)) {
    exposition.counter('vamos_sessions_ended', 'Ended sessions, by error code', { guest, code }, count);
  }
  for (const [code, count] of Object.entries(server.errors)) {
    exposition.counter('vamos_request_errors', 'Failed requests, by error code', { guest, code }, count);
  }
  for (const { method, sumMicroseconds, buckets } of server.methods) {
    const help = 'Time from a request to its answer in the worker, waiting for locks and disk with it';
    exposition.histogram(
      'vamos_request_seconds',
      help,
      { guest, ...namesOfMethod(method) },
      { bounds: LATENCY_BOUNDS_SECONDS, buckets, sum: sumMicroseconds / 1e6 },
    );
  }
  for (const [module, counters] of Object.entries(modules)) {
    for (const [key, value] of Object.entries(counters)) {
      const metric = metricOf(module, key);
      if (metric) exposition[metric.type](`vamos_${module}_${snakeCase(key)}`, metric.help, labels, value);
    }
  }
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
    // This is the daemon's own health: one guest that can't be served is no reason to restart all the others.
    const isStopping = supervisor.isStopping;
    response.writeHead(isStopping ? 503 : 200).end(isStopping ? 'stopping\n' : 'ok\n');
  } else {
    response.writeHead(404).end('/metrics or /healthz\n');
  }
}

function snakeCase(key: string): string {
  return key.replace(/([a-z0-9])([A-Z])/g, '$1_$2').toLowerCase();
}
