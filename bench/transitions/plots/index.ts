import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { TransitionReport } from '../result.js';
import { draw, type Plot } from '../../draw.js';
import { improvement, overview, switches, work } from './figures.js';

/** The files, each with the function that describes its figure. */
const FIGURES: Record<string, (report: TransitionReport) => Plot | undefined> = {
  'transitions.svg': overview,
  'switches.svg': switches,
  'improvement.svg': improvement,
  'work-W1.svg': (report) => work(report, 'W1'),
  'work-W3.svg': (report) => work(report, 'W3'),
  'work-W5.svg': (report) => work(report, 'W5'),
  'work-W6.svg': (report) => work(report, 'W6'),
};

/**
 * Draws the figures of which something was measured.
 * @returns the files
 */
export async function writePlots(report: TransitionReport, folder: string): Promise<string[]> {
  await mkdir(folder, { recursive: true });
  const files: string[] = [];
  for (const [name, describe] of Object.entries(FIGURES)) {
    const plot = describe(report);
    if (!plot) continue;
    const file = path.join(folder, name);
    await writeFile(file, await draw(plot));
    files.push(file);
  }
  return files;
}
