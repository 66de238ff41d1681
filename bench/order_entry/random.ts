import { randomNumbers } from '../demo/orders.js';
import type { Scale } from './schema.js';

const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
const SYLLABLES = ['BAR', 'OUGHT', 'ABLE', 'PRI', 'PRES', 'ESE', 'ANTI', 'CALLY', 'ATION', 'EING'];
const MAX_NAMES = 1000;
/** The run's constant C of clause 2.1.6; any will do. */
const NON_UNIFORM_CONSTANT = 123;

/** Makes a last name (clause 4.3.2.3). */
export function lastName(number: number): string {
  const digits = String(number % MAX_NAMES).padStart(3, '0');
  return [...digits].map((digit) => SYLLABLES[Number(digit)]!).join('');
}

/** The random choices of clauses 2.1.6 and 4.3.2: fixed by the seed. */
export class Choices {
  readonly #next: () => number;

  constructor(seed: number) {
    this.#next = randomNumbers(seed);
  }

  /** Returns a whole number, both ends included. */
  between(from: number, to: number): number {
    return from + Math.floor(this.#next() * (to - from + 1));
  }

  isOneIn(count: number): boolean {
    return this.between(1, count) === 1;
  }

  /** NURand of clause 2.1.6; its A is a quarter to a half of the range, whatever the scale. */
  #nonUniform(from: number, to: number): number {
    const range = to - from + 1;
    const a = 2 ** Math.floor(Math.log2(Math.max(2, range / 2))) - 1;
    return (((this.between(0, a) | this.between(from, to)) + NON_UNIFORM_CONSTANT) % range) + from;
  }

  customer({ customers }: Scale): number {
    return this.#nonUniform(1, customers);
  }

  item({ items }: Scale): number {
    return this.#nonUniform(1, items);
  }

  /** Returns a name that some customer of each district has. */
  customerName({ customers }: Scale): string {
    return lastName(this.#nonUniform(0, Math.min(customers, MAX_NAMES) - 1));
  }

  text(minLength: number, maxLength = minLength): string {
    let text = '';
    for (let left = this.between(minLength, maxLength); left > 0; left--) {
      text += LETTERS[this.between(0, LETTERS.length - 1)];
    }
    return text;
  }

  digits(length: number): string {
    return Array.from({ length }, () => this.between(0, 9)).join('');
  }

  /**
   * Returns a decimal as text, with `scale` digits after the point; the ends are counted in its last digit.
   */
  decimal(from: number, to: number, scale: number): string {
    return (this.between(from, to) / 10 ** scale).toFixed(scale);
  }

  shuffled<Value>(values: readonly Value[]): Value[] {
    const result = [...values];
    for (let index = result.length - 1; index > 0; index--) {
      const other = this.between(0, index);
      [result[index], result[other]] = [result[other]!, result[index]!];
    }
    return result;
  }
}
