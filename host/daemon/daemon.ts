import { VamosError } from '../../src/protocol/errors.js';
import type { Configuration } from './configuration.js';
import { defaultControlPath, serveControl, type Asker, type ControlRequest } from './control.js';
import { makeLogger } from './logger.js';
import { serveMetrics } from './metrics.js';
import { Supervisor, type Change, type GuestReport } from './supervisor.js';

/** What `vamos host status` shows. */
export interface DaemonStatus {
  pid: number;
  /** ISO time. */
  startedAt: string;
  metrics?: string;
  guests: GuestReport[];
}

/**
 * Runs the daemon until it is told to stop: SIGTERM, SIGINT or `stop` at the control socket. SIGHUP and `reload` read
 * the configuration again.
 * @param reread gives the configuration anew; undefined where there is no file
 * @param onServing called once, when each guest serves or failed its first try
 * @throws VamosError where nothing can be served
 */
export async function runDaemon(
  configuration: Configuration,
  reread: (() => Configuration) | undefined,
  onServing: (status: DaemonStatus & { control: string }) => void,
): Promise<void> {
  const log = makeLogger(configuration.logLevel);
  const startedAt = new Date().toISOString();
  const supervisor = new Supervisor(configuration, log);
  let metrics: Awaited<ReturnType<typeof serveMetrics>> | undefined;
  let tellStop!: (why: string) => void;
  const stopAsked = new Promise<string>((resolve) => (tellStop = resolve));

  const status = async (): Promise<DaemonStatus> => ({
    pid: process.pid,
    startedAt,
    ...(metrics && { metrics: metrics.address }),
    guests: await supervisor.report(),
  });
  const reload = (): Promise<Change> => {
    if (!reread)
      throw new VamosError('BAD_REQUEST', 'the daemon was started without --config: nothing to reload');
    return supervisor.reload(reread());
  };
  const answer = async (request: ControlRequest, asker: Asker): Promise<unknown> => {
    switch (request.command) {
      case 'status':
        return status();
      case 'add':
        return supervisor.add(request.name, request.guest);
      case 'remove':
        return supervisor.remove(request.name);
      case 'repair':
        return supervisor.repair(request.name, request.acceptLoss);
      case 'reload':
        return reload();
      case 'stop':
        tellStop('asked at the control socket');
        return supervisor.stop();
      case 'checkpoint':
        return supervisor.checkpoint(request.guest, request, asker);
      case 'verify':
        return supervisor.verify(request.guest, request.bytesPerSecond, asker);
    }
  };

  process.on('SIGTERM', () => tellStop('SIGTERM'));
  process.on('SIGINT', () => tellStop('SIGINT'));
  process.on('SIGHUP', () => {
    log.info('daemon: SIGHUP');
    // A configuration with errors changes nothing.
    Promise.resolve()
      .then(reload)
      .catch((error: unknown) => {
        const { code, message } = VamosError.from(error);
        log.error({ code, error: message }, 'daemon: not reloaded');
      });
  });

  const controlPath = configuration.control ?? defaultControlPath();
  const control = await serveControl(controlPath, answer, log);
  try {
    if (configuration.metrics !== undefined) {
      metrics = await serveMetrics(configuration.metrics, supervisor, log);
    }
    log.info({ guests: Object.keys(configuration.guests) }, 'daemon: starting');
    const started = supervisor.start().then(async () => {
      if (supervisor.isStopping) return;
      log.info('daemon: serving');
      onServing({ ...(await status()), control: controlPath });
    });
    // A stop may come while guests are still starting; then their failure to start need not be reported.
    const why = await Promise.race([stopAsked, started.then(() => stopAsked)]);
    started.catch(() => undefined);
    log.info({ why }, 'daemon: stopping');
    await supervisor.stop();
  } finally {
    await control.close();
    metrics?.close();
    log.info('daemon: stopped');
  }
}
