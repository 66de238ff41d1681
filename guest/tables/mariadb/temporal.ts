/**
 * MariaDB's packed temporal values (FORMATS.md, "MariaDB's columns") as mysql2 shows them: DATE, DATETIME and TIMESTAMP as
 * Date in this process's time zone, TIME as text.
 */
import { VamosError } from '../../../src/protocol/errors.js';
import { asBuffer } from '../../../src/protocol/rows.js';

const DATETIME_OFFSET = 0x80_0000_0000;
const TIME_OFFSET = 0x80_0000;
const MAX_TIME_SECONDS = 838 * 3600 + 59 * 60 + 59;

/** Returns the bytes that a fraction of this many digits takes. */
export function fractionBytes(digits: number): number {
  return (digits + 1) >> 1;
}

/** Reads a fraction of a second in microseconds. */
function readFraction(bytes: Buffer, offset: number, digits: number): number {
  const length = fractionBytes(digits);
  return length === 0 ? 0 : bytes.readUIntBE(offset, length) * 10 ** (6 - 2 * length);
}

/** Writes a fraction, cut to the column's digits as the server does. */
function writeFraction(bytes: Buffer, offset: number, digits: number, microseconds: number): void {
  const length = fractionBytes(digits);
  if (length === 0) return;
  const cut = Math.floor(microseconds / 10 ** (6 - digits)) * 10 ** (6 - digits);
  bytes.writeUIntBE(Math.floor(cut / 10 ** (6 - 2 * length)), offset, length);
}

/**
 * Reads a date, packed as year × 512 + month × 32 + day. A zero month or day, as `0000-00-00` has, makes an
 * invalid Date, as with mysql2.
 */
export function dateOf(packed: number): Date {
  const month = (packed >> 5) & 15;
  const day = packed & 31;
  return month === 0 || day === 0 ? new Date(NaN) : localDate(packed >> 9, month, day, 0, 0, 0, 0);
}

export function packedDate(date: Date): number {
  checkDate(date);
  return date.getFullYear() * 512 + (date.getMonth() + 1) * 32 + date.getDate();
}

export function dateTimeOf(raw: Uint8Array, digits: number): Date {
  const bytes = asBuffer(raw);
  const packed = bytes.readUIntBE(0, 5) - DATETIME_OFFSET;
  const time = packed % 2 ** 17;
  const day = Math.floor(packed / 2 ** 17);
  const yearMonth = Math.floor(day / 32);
  const [year, month] = [Math.floor(yearMonth / 13), yearMonth % 13];
  if (month === 0 || day % 32 === 0) return new Date(NaN);
  const milliseconds = Math.floor(readFraction(bytes, 5, digits) / 1000);
  return localDate(year, month, day % 32, time >> 12, (time >> 6) & 63, time & 63, milliseconds);
}

export function packedDateTime(date: Date, digits: number): Buffer {
  checkDate(date);
  const day = (date.getFullYear() * 13 + date.getMonth() + 1) * 32 + date.getDate();
  const time = date.getHours() * 4096 + date.getMinutes() * 64 + date.getSeconds();
  const bytes = Buffer.alloc(5 + fractionBytes(digits));
  bytes.writeUIntBE(DATETIME_OFFSET + day * 2 ** 17 + time, 0, 5);
  writeFraction(bytes, 5, digits, date.getMilliseconds() * 1000);
  return bytes;
}

/** Reads seconds since 1970; 0 is `0000-00-00 00:00:00`. */
export function timestampOf(raw: Uint8Array, digits: number): Date {
  const bytes = asBuffer(raw);
  const seconds = bytes.readUInt32BE(0);
  const milliseconds = Math.floor(readFraction(bytes, 4, digits) / 1000);
  return seconds === 0 && milliseconds === 0 ? new Date(NaN) : new Date(seconds * 1000 + milliseconds);
}

export function packedTimestamp(date: Date, digits: number): Buffer {
  const seconds = Math.floor(date.getTime() / 1000);
  if (!(seconds >= 1 && seconds <= 0x7fff_ffff)) throw wrongTime(date);
  const bytes = Buffer.alloc(4 + fractionBytes(digits));
  bytes.writeUInt32BE(seconds, 0);
  writeFraction(bytes, 4, digits, (date.getTime() - seconds * 1000) * 1000);
  return bytes;
}

/** Reads a time as `[-]hh:mm:ss[.ffffff]`. */
export function timeOf(raw: Uint8Array, digits: number): string {
  const length = 3 + fractionBytes(digits);
  const unit = 2 ** (8 * (length - 3));
  const packed = asBuffer(raw).readUIntBE(0, length) - TIME_OFFSET * unit;
  const size = Math.abs(packed);
  const time = Math.floor(size / unit);
  const text = [time >> 12, (time >> 6) & 63, time & 63].map((part) => String(part).padStart(2, '0'));
  const fraction = String(size % unit).padStart(2 * fractionBytes(digits), '0');
  return `${packed < 0 ? '-' : ''}${text.join(':')}${digits > 0 ? `.${fraction.slice(0, digits)}` : ''}`;
}

export function packedTime(text: string, digits: number): Buffer {
  const [, sign, hours, minutes, seconds, fraction = ''] =
    /^(-?)(\d{1,3}):(\d\d):(\d\d)(?:\.(\d{1,6}))?$/.exec(text) ?? [];
  if (hours === undefined || Number(minutes) > 59 || Number(seconds) > 59) throw wrongTime(text);
  if (Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds) > MAX_TIME_SECONDS) throw wrongTime(text);
  const length = fractionBytes(digits);
  const unit = 2 ** (8 * length);
  const kept = Number(fraction.slice(0, digits).padEnd(2 * length, '0'));
  const time = Number(hours) * 4096 + Number(minutes) * 64 + Number(seconds);
  const size = time * unit + kept;
  const bytes = Buffer.alloc(3 + length);
  bytes.writeUIntBE(TIME_OFFSET * unit + (sign === '-' ? -size : size), 0, 3 + length);
  return bytes;
}

function localDate(
  year: number,
  month: number,
  day: number,
  hours: number,
  minutes: number,
  seconds: number,
  milliseconds: number,
): Date {
  const date = new Date(2000, month - 1, 1, hours, minutes, seconds, milliseconds);
  // The year is set separately, since the constructor takes years below 100 for those of the 20th century.
  date.setFullYear(year, month - 1, day);
  return date;
}

function checkDate(date: Date): void {
  if (!(date instanceof Date) || Number.isNaN(date.getTime())) throw wrongTime(date);
  if (date.getFullYear() < 0 || date.getFullYear() > 9999) throw wrongTime(date);
}

function wrongTime(value: unknown): VamosError {
  return new VamosError('BAD_REQUEST', `${String(value)} is no date or time that the column can hold`);
}
