import { VamosError } from '../../../src/protocol/errors.js';
import { vamos } from '../../../src/protocol/generated/messages.js';
import { MAX_TIMEOUT_MS } from '../../../src/protocol/generated/limits.js';
import type { CommitMark } from './binding.js';
import type { HostTable } from './host_table.js';

const { Lock, Wait, Durability } = vamos.tables;

const MAX_BOUND_BYTES = 64 * 1024;
const MAX_TOKEN_BYTES = 16;
const NO_TOKEN = new Uint8Array();

/** A request's scope, checked. */
export interface Scope {
  inTransaction: boolean;
  durability: number;
  wait: number;
  /** 0: the host's default. */
  lockTimeoutMs: number;
  /** The statement's number; 0: the request is a statement by itself. */
  statement: number;
  /** The commit of an autocommit write; number 0: none. */
  commit: CommitMark;
}

export function checkScope(scope: vamos.tables.IScope | null | undefined): Scope {
  const durability = scope?.durability ?? Durability.SYNCED;
  checkDurability(durability);
  const wait = scope?.wait ?? Wait.WAIT;
  if (Wait[wait] === undefined) throw refuse(`no way to wait has number ${wait}`);
  return {
    inTransaction: scope?.inTransaction ?? false,
    durability,
    wait,
    lockTimeoutMs: Math.min(scope?.lockTimeoutMs ?? 0, MAX_TIMEOUT_MS),
    statement: scope?.statement ?? 0,
    commit: checkCommit(scope?.commitNumber, scope?.commitToken),
  };
}

export function checkCommit(
  number: number | null | undefined,
  token: Uint8Array | null | undefined,
): CommitMark {
  if (number && !Number.isSafeInteger(Number(number))) throw refuse('a commit has a number below 2^53');
  if (token && token.length > MAX_TOKEN_BYTES) {
    throw refuse(`a commit's token has at most ${MAX_TOKEN_BYTES} bytes`);
  }
  return { number: Number(number ?? 0), token: token ?? NO_TOKEN };
}

export function checkDurability(durability: number): void {
  if (Durability[durability] === undefined) throw refuse(`no durability has number ${durability}`);
}

export function checkLock(lock: number): void {
  if (Lock[lock] === undefined) throw refuse(`no lock has number ${lock}`);
}

export function isLocking(lock: number): boolean {
  return lock !== Number(Lock.NONE);
}

export function skipsLocked(scope: { wait: number }): boolean {
  return scope.wait === Number(Wait.SKIP_LOCKED);
}

export function checkIndex(table: HostTable, index: number): Definition {
  const found = table.definition.indexes[index];
  if (!found) throw new VamosError('INDEX_MISSING', `table ${table.definition.name} has no index ${index}`);
  return found;
}
type Definition = HostTable['definition']['indexes'][number];

export function checkProjection(table: HostTable, columns: readonly number[]): number[] {
  const count = table.definition.columns.length;
  if (columns.some((column) => column >= count) || new Set(columns).size < columns.length) {
    throw refuse(`a projection names columns of table ${table.definition.name}, each once`);
  }
  return [...columns];
}

/** Returns the program of a request, which the store will verify, or undefined. */
export function programOrNone(code: Uint8Array | null | undefined): Uint8Array | undefined {
  return code && code.length > 0 ? code : undefined;
}

export interface CheckedBounds {
  lower?: Uint8Array;
  upper?: Uint8Array;
  lowerExclusive: boolean;
  upperExclusive: boolean;
}

export function checkBounds(bounds: vamos.tables.IBounds | null | undefined): CheckedBounds {
  const checked: CheckedBounds = {
    lowerExclusive: bounds?.lowerExclusive ?? false,
    upperExclusive: bounds?.upperExclusive ?? false,
  };
  if (bounds?.hasLower) checked.lower = checkBound(bounds.lower);
  if (bounds?.hasUpper) checked.upper = checkBound(bounds.upper);
  return checked;
}

function checkBound(bound: Uint8Array | null | undefined): Uint8Array {
  const bytes = bound ?? new Uint8Array();
  if (bytes.length > MAX_BOUND_BYTES) throw refuse(`a bound has at most ${MAX_BOUND_BYTES} bytes`);
  return bytes;
}

export function refuse(message: string): VamosError {
  return new VamosError('BAD_REQUEST', message);
}
