import { describe, it } from 'vitest';
import { conformanceTests } from './conformance.js';
import { localTransport, serialTransport, unixTransport } from './transports.js';

for (const transport of [localTransport, unixTransport, serialTransport]) {
  describe(`channel over ${transport.name}`, () => {
    for (const test of conformanceTests(transport)) it(test.name, () => test.run());
  });
}
