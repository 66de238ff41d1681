import { METRICS, type MetricsOf } from '../../src/protocol/generated/metrics.js';

/** What a module counts, before it has counted anything. */
export function startCounters<Module extends keyof typeof METRICS>(module: Module): MetricsOf<Module> {
  const names = Object.keys(METRICS[module]);
  return Object.fromEntries(names.map((name) => [name, 0])) as MetricsOf<Module>;
}
