import { pino, type Logger } from 'pino';

/** Structured JSON lines on standard error, one for each event that matters. Never give it a token. */
export function makeLogger(level: string, bindings: Record<string, unknown> = {}): Logger {
  return pino(
    { level, timestamp: pino.stdTimeFunctions.isoTime, base: { pid: process.pid } },
    pino.destination({ fd: 2, sync: true }),
  ).child(bindings);
}
