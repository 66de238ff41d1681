import fc from 'fast-check';
import { expect, it } from 'vitest';
import { vamos } from '../../src/protocol/generated/messages.js';
import { uint64, uint64Field } from '../../src/protocol/uint64.js';

const anyUint64 = fc.oneof(
  fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
  fc.constantFrom(0n, 1n, (1n << 53n) - 1n, 1n << 53n, (1n << 53n) + 1n, (1n << 63n) - 1n, (1n << 64n) - 1n),
);

it('a uint64 field keeps all its bits through a message', () => {
  fc.assert(
    fc.property(anyUint64, fc.nat(), (value, count) => {
      const body = vamos.tables.Reserved.encode({ first: uint64Field(value), count }).finish();
      const decoded = vamos.tables.Reserved.decode(body);
      expect(uint64(decoded.first, body, 1)).toBe(value);
      expect(decoded.count).toBe(count);
    }),
  );
});

it('of a field that is there twice the last one counts, as protobuf says', () => {
  const large = (1n << 60n) + 1n;
  const twice = [5n, large].map((first) =>
    vamos.tables.Reserved.encode({ first: uint64Field(first) }).finish(),
  );
  const body = Buffer.concat(twice);
  expect(uint64(vamos.tables.Reserved.decode(body).first, body, 1)).toBe(large);
});
