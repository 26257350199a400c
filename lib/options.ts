/** Checks of the arguments users pass. Each names the option, says what is allowed and shows what came. */

import {OptionError} from './errors.js';

export interface Range {
  /** Smallest value allowed, inclusive. */
  min: number;
  /** Largest value allowed, inclusive; no limit when left out. */
  max?: number;
}

export function integer(option: string, value: unknown, {min, max = Infinity}: Range): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max) return value;
  throw new OptionError(option, `an integer ${range(min, max)}`, value);
}

/** A finite number in a range, bounds included. */
export function number(option: string, value: unknown, {min, max = Infinity}: Range): number {
  if (typeof value === 'number' && value >= min && value <= max && Number.isFinite(value)) return value;
  throw new OptionError(option, `a number ${range(min, max)}`, value);
}

/** One of `allowed`; the return type is narrowed to them. */
export function oneOf<const T extends string>(option: string, value: unknown, allowed: readonly T[]): T {
  const found = allowed.find((each) => each === value);
  if (found !== undefined) return found;
  throw new OptionError(option, allowed.map((each) => `'${each}'`).join(' or '), value);
}

export function boolean(option: string, value: unknown): boolean {
  if (typeof value !== 'boolean') throw new OptionError(option, 'true or false', value);
  return value;
}

export function callback(option: string, value: unknown): void {
  if (typeof value !== 'function') throw new OptionError(option, 'a function', value);
}

/** An object, whatever is in it. */
export function object<T extends object>(option: string, value: T): T {
  if (typeof value === 'object' && value !== null) return value;
  throw new OptionError(option, 'an object', value);
}

/** Throws OptionError for a field that is none of `allowed`: a misspelt option must not be an option left out. */
export function noOthers(option: string, value: object, allowed: readonly string[]): void {
  const unknown = Object.keys(value).find((name) => !allowed.includes(name));
  if (unknown === undefined) return;
  throw new OptionError(`${option}.${unknown}`, `one of ${allowed.join(', ')}`, (value as Record<string, unknown>)[unknown]);
}

export function abortSignal(value: AbortSignal | undefined): AbortSignal | undefined {
  if (value === undefined || value instanceof AbortSignal) return value;
  throw new OptionError('signal', 'an AbortSignal', value);
}

function range(min: number, max: number): string {
  return max === Infinity ? `of at least ${min}` : `from ${min} to ${max}`;
}
