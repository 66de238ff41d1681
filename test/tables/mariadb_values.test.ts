import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decimalOf, packedDecimal } from '../../guest/tables/mariadb/decimal.js';
import { sortKey } from '../../guest/tables/mariadb/collation.js';
import { geometryOf } from '../../guest/tables/mariadb/geometry.js';
import { inet6Of, packedInet6, packedUuid, uuidOf } from '../../guest/tables/mariadb/network.js';
import {
  dateOf,
  dateTimeOf,
  packedDate,
  packedDateTime,
  packedTime,
  packedTimestamp,
  timeOf,
  timestampOf,
} from '../../guest/tables/mariadb/temporal.js';
import { characterSetOf } from '../../guest/tables/mariadb/text.js';

const days = fc.date({ min: new Date(1000, 0, 1), max: new Date(9999, 11, 30), noInvalidDate: true });
const digits = fc.integer({ min: 0, max: 6 });
const cut = (milliseconds: number, kept: number): number =>
  kept >= 3 ? milliseconds : Math.floor(milliseconds / 10 ** (3 - kept)) * 10 ** (3 - kept);
const compare = (one: Uint8Array, other: Uint8Array): number => Math.sign(Buffer.compare(one, other));

describe("values of MariaDB's columns", () => {
  test('a date comes back as the same day', () => {
    fc.assert(
      fc.property(days, (date) => {
        const read = dateOf(packedDate(date));
        expect([read.getFullYear(), read.getMonth(), read.getDate()]).toEqual([
          date.getFullYear(),
          date.getMonth(),
          date.getDate(),
        ]);
      }),
    );
  });

  test('a date-time keeps the digits of its column, and sorts', () => {
    fc.assert(
      fc.property(days, days, digits, (one, other, kept) => {
        const expected = new Date(one);
        expected.setMilliseconds(cut(one.getMilliseconds(), kept));
        expect(dateTimeOf(packedDateTime(one, kept), kept)).toEqual(expected);
        const [a, b] = [
          dateTimeOf(packedDateTime(one, kept), kept),
          dateTimeOf(packedDateTime(other, kept), kept),
        ];
        if (Math.abs(a.getTime() - b.getTime()) > 86_400_000) {
          expect(compare(packedDateTime(one, kept), packedDateTime(other, kept))).toBe(
            Math.sign(a.getTime() - b.getTime()),
          );
        }
      }),
    );
  });

  test('a timestamp keeps the digits of its column', () => {
    const moments = fc.date({ min: new Date(1000), max: new Date(0x7fff_ffff * 1000), noInvalidDate: true });
    fc.assert(
      fc.property(moments, digits, (moment, kept) => {
        const seconds = Math.floor(moment.getTime() / 1000) * 1000;
        expect(timestampOf(packedTimestamp(moment, kept), kept).getTime()).toBe(
          seconds + cut(moment.getTime() - seconds, kept),
        );
      }),
    );
  });

  test('a time of either sign comes back, and sorts', () => {
    const times = fc.tuple(
      fc.boolean(),
      fc.integer({ min: 0, max: 838 * 3600 }),
      fc.integer({ min: 0, max: 999_999 }),
    );
    const textOf = ([isNegative, seconds, fraction]: [boolean, number, number], kept: number): string => {
      const part = (value: number) => String(value).padStart(2, '0');
      const shown = String(fraction).padStart(6, '0').slice(0, kept);
      const isZero = seconds === 0 && Number(shown) === 0;
      const sign = isNegative && !isZero ? '-' : '';
      const clock = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60]
        .map(part)
        .join(':');
      return `${sign}${clock}${kept > 0 ? `.${shown}` : ''}`;
    };
    const valueOf = (text: string): number => {
      const [, sign, hours, minutes, seconds] = /^(-?)(\d+):(\d+):([\d.]+)$/.exec(text)!;
      const size = Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds);
      return sign === '-' ? -size : size;
    };
    fc.assert(
      fc.property(times, times, digits, (one, other, kept) => {
        const [a, b] = [textOf(one, kept), textOf(other, kept)];
        expect(timeOf(packedTime(a, kept), kept)).toBe(a);
        expect(compare(packedTime(a, kept), packedTime(b, kept))).toBe(Math.sign(valueOf(a) - valueOf(b)));
      }),
    );
  });

  test('a decimal comes back with all digits of its scale, and sorts', () => {
    const shapes = fc
      .integer({ min: 1, max: 65 })
      .chain((all) => fc.tuple(fc.constant(all), fc.integer({ min: 0, max: Math.min(all, 38) })));
    const numbers = shapes.chain(([all, scale]) => {
      const limit = 10n ** BigInt(all) - 1n;
      const scaled = fc.bigInt({ min: -limit, max: limit });
      return fc.tuple(fc.constant({ all, scale }), scaled, scaled);
    });
    const textOf = (scaled: bigint, scale: number): string => {
      const size = String(scaled < 0n ? -scaled : scaled).padStart(scale + 1, '0');
      const point = size.length - scale;
      return `${scaled < 0n ? '-' : ''}${size.slice(0, point)}${scale > 0 ? `.${size.slice(point)}` : ''}`;
    };
    fc.assert(
      fc.property(numbers, ([{ all, scale }, one, other]) => {
        const [a, b] = [textOf(one, scale), textOf(other, scale)];
        expect(decimalOf(packedDecimal(a, all, scale), all, scale)).toBe(a);
        const order = one < other ? -1 : one > other ? 1 : 0;
        expect(compare(packedDecimal(a, all, scale), packedDecimal(b, all, scale))).toBe(order);
      }),
    );
  });

  test('a value that the column has no room for is refused', () => {
    expect(() => packedDecimal('100', 2, 0)).toThrow(/no decimal\(2,0\)/);
    expect(() => packedDecimal('1.25', 3, 1)).toThrow(/no decimal/);
    expect(() => packedTime('839:00:00', 0)).toThrow(/no date or time/);
    expect(() => packedTime('10:60:00', 0)).toThrow(/no date or time/);
    expect(() => packedTimestamp(new Date(-1), 0)).toThrow(/no date or time/);
    expect(() => packedUuid('nonsense')).toThrow(/not a UUID/);
  });

  test('addresses and UUIDs come back', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), (bytes) => {
        expect(packedInet6(inet6Of(bytes))).toEqual(bytes);
      }),
    );
    fc.assert(
      fc.property(fc.uuid({ version: [1, 2, 3, 4, 5, 6, 7] }), (text) => {
        expect(uuidOf(packedUuid(text))).toBe(text);
      }),
    );
    expect(inet6Of(packedInet6('2001:db8:0:0:1:0:0:1'))).toBe('2001:db8::1:0:0:1');
    expect(inet6Of(packedInet6('::ffff:192.168.0.1'))).toBe('::ffff:192.168.0.1');
  });

  test('text of a character set that has the characters comes back', () => {
    for (const [collation, sample] of [
      ['utf8mb4_general_ci', 'aé漢😀'],
      ['utf8mb3_bin', 'aé漢'],
      ['latin1_swedish_ci', 'aé€'],
      ['cp1251_general_ci', 'привет'],
    ] as const) {
      const characters = characterSetOf(collation);
      expect(characters.decode(characters.encode(sample))).toBe(sample);
    }
    expect(() => characterSetOf('latin1_bin').encode('漢')).toThrow(/has no '漢'/);
    expect(() => characterSetOf('utf8mb3_bin').encode('😀')).toThrow(/has no/);
  });

  test('a geometry shows as points and lists, and a broken one is refused', () => {
    const point = Buffer.alloc(25);
    point[4] = 1;
    point.writeUInt32LE(1, 5);
    point.writeDoubleLE(1.5, 9);
    point.writeDoubleLE(-2, 17);
    expect(geometryOf(point)).toEqual({ x: 1.5, y: -2 });
    expect(() => geometryOf(point.subarray(0, 20))).toThrow(/no geometry/);
  });

  test('a sort key follows the collation, as if shorter strings were padded with spaces', () => {
    const key = (text: string, collation = 'utf8mb4_general_ci') =>
      sortKey({ name: 'c', collation, isPadded: false }, characterSetOf(collation).encode(text), 0);
    expect(key('abc')).toEqual(key('ABC  '));
    expect(key('Äpfel')).toEqual(key('apfel'));
    for (const sorted of [
      ['a\t', 'a', 'a!', 'ab'],
      ['a  \t', 'a ', 'a  !', 'a !', 'a!'],
    ]) {
      expect([...sorted].sort((one, other) => compare(key(one), key(other)))).toEqual(sorted);
    }
    expect(compare(key('a ', 'utf8mb4_nopad_bin'), key('a', 'utf8mb4_nopad_bin'))).toBe(1);
    expect(() => key('a', 'utf8mb4_unicode_ci')).toThrow(/whose order only MariaDB knows/);
  });
});
