import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { writePlots } from './plots/index.js';
import { readReport } from './read_report.js';
import { renderReport } from './report.js';

/**
 * Makes table and plots of a results file again, without measuring.
 * @param folder where they go: transitions.md and *.svg
 * @returns the files
 * @throws VamosError BAD_CONFIGURATION if the file is not what the benchmark writes
 */
export async function renderResults(jsonFile: string, folder: string): Promise<string[]> {
  const report = await readReport(jsonFile);
  const plots = await writePlots(report, folder);
  const table = path.join(folder, 'transitions.md');
  await writeFile(table, renderReport(report));
  return [table, ...plots];
}
