/** Files of the host: a journal that is appended to and synced, and then put in the place of the one before. */
import { connect } from 'vamos/guest';

await using vamos = await connect(process.argv[2] ?? 'local:./data');
const { files } = vamos;

await files.mkdir('journal', { recursive: true });
await files.writeFile('journal/current.txt', 'opened\n');

for (const entry of ['one order', 'two orders', 'three orders']) {
  // `flush`: on the host's disk when it resolves.
  await files.appendFile('journal/current.txt', `${entry}\n`, { flush: true });
}

// A reader sees the former file or the new one, never a part.
const text = await files.readFile('journal/current.txt', { encoding: 'utf8' });
await files.writeFile('journal/next.txt', text.toUpperCase(), { flush: true });
await files.rename('journal/next.txt', 'journal/current.txt');

console.log((await files.readFile('journal/current.txt', { encoding: 'utf8' })).trimEnd());
const { size } = await files.stat('journal/current.txt');
console.log(`${size} bytes`);
