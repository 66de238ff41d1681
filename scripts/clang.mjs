// `format` rewrites the C++ sources, `check` says which are not formatted; `tidy` looks for faults in them.
import { availableParallelism } from 'node:os';
import { StepError, filesBelow, run } from './shared.mjs';

const sources = filesBelow(['native', 'guest/mariadb', 'guest/doctor'], /\.(cpp|hpp)$/);

/** @throws StepError naming the files */
export async function clangFormat(mode) {
  if (sources.length === 0) return;
  const args = mode === 'format' ? ['-i'] : ['--dry-run', '--Werror'];
  await run('clang-format-14', [...args, ...sources], { title: 'clang-format' });
}

/** Every source that `database` (a folder with compile_commands.json) tells how to compile. */
export async function clangTidy(database, files) {
  const waiting = [...files];
  const failures = [];
  const beat = setInterval(() => {
    console.log(`  … clang-tidy, ${waiting.length} of ${files.length} files to go`);
  }, 30_000);
  const worker = async () => {
    for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) {
      try {
        await run('clang-tidy-14', ['--quiet', '-p', database, file], {
          title: `clang-tidy ${file}`,
          isQuiet: true,
        });
      } catch (error) {
        failures.push(error.message);
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(availableParallelism(), 8) }, worker));
  clearInterval(beat);
  if (failures.length > 0) throw new StepError(failures.join('\n'));
}

if (process.argv[1] === import.meta.filename) {
  try {
    await clangFormat(process.argv[2] === 'format' ? 'format' : 'check');
  } catch (error) {
    if (!(error instanceof StepError)) throw error;
    console.error(error.message);
    process.exit(1);
  }
}
