// Runs the conformance suite without a test runner, for instance in a guest over vsock loopback:
//   node dist/test/channel/conformance-main.js vsock unix
// Prints a line for each test, and fails if one did.
import { conformanceTests } from './conformance.js';
import { localTransport, serialTransport, unixTransport, vsockTransport } from './transports.js';

const transports = [localTransport, unixTransport, serialTransport, vsockTransport];
const names = process.argv.slice(2);
const chosen = transports.filter(({ name }) => names.includes(name));
const say = (line: string) => process.stdout.write(`${line}\n`);

if (names.length === 0 || chosen.length !== new Set(names).size) {
  say(`usage: conformance-main.js TRANSPORT..., of ${transports.map(({ name }) => name).join(', ')}`);
  process.exit(2);
}
let failures = 0;
for (const transport of chosen) {
  for (const test of conformanceTests(transport)) {
    try {
      await test.run();
      say(`pass  ${transport.name}: ${test.name}`);
    } catch (error) {
      failures++;
      say(`fail  ${transport.name}: ${test.name}: ${(error as Error).stack ?? String(error)}`);
    }
  }
}
say(failures === 0 ? 'all passed' : `${String(failures)} failed`);
process.exit(failures === 0 ? 0 : 1);
