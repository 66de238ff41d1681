/** Called at each step, and with a count many times within it, which says how far the step is. */
export type OnProgress = (step: string, count?: string) => void;

/** Shows steps as the output of a task. Counts are for a terminal, where they change in place; a log gets a line a step. */
export function showProgress(task: { output: string }, isTerminal = process.stdout.isTTY): OnProgress {
  let shown: string | undefined;
  return (step, count) => {
    const text = isTerminal && count !== undefined ? `${step} ${count}` : step;
    if (text === shown) return;
    shown = text;
    task.output = text;
  };
}
