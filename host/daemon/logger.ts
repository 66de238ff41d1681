import { pino, type Logger } from 'pino';

/**
 * Makes a logger that writes structured JSON lines to standard error, one for each event that matters. It
 * must never be given a token.
 */
export function makeLogger(level: string, bindings: Record<string, unknown> = {}): Logger {
  return pino(
    { level, timestamp: pino.stdTimeFunctions.isoTime, base: { pid: process.pid } },
    pino.destination({ fd: 2, sync: true }),
  ).child(bindings);
}
