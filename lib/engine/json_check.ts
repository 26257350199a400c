/** Takes JSON that anybody may have written apart, field by field; whatever is not as expected is named by its path. */

import {FormatError} from '../errors.js';

export class JsonProblem extends Error {}

export class JsonField {
  private constructor(
    readonly path: string,
    readonly value: unknown,
  ) {}

  static root(value: unknown): JsonField {
    return new JsonField('', value);
  }

  /** A field of this object; missing ones are undefined and fail when read as anything. */
  get(name: string): JsonField {
    const object = this.object();
    return new JsonField(this.path === '' ? name : `${this.path}.${name}`, Object.hasOwn(object, name) ? object[name] : undefined);
  }

  get missing(): boolean {
    return this.value === undefined;
  }

  object(): Record<string, unknown> {
    if (typeof this.value !== 'object' || this.value === null || Array.isArray(this.value)) throw this.problem('an object');
    return this.value as Record<string, unknown>;
  }

  array(): JsonField[] {
    if (!Array.isArray(this.value)) throw this.problem('an array');
    return this.value.map((each, index) => new JsonField(`${this.path}[${index}]`, each));
  }

  string(allowed = 'a string', test: (value: string) => boolean = () => true): string {
    if (typeof this.value !== 'string' || !test(this.value)) throw this.problem(allowed);
    return this.value;
  }

  oneOf<const T extends string>(allowed: readonly T[]): T {
    const found = allowed.find((each) => each === this.value);
    if (found === undefined) throw this.problem(allowed.map((each) => `'${each}'`).join(' or '));
    return found;
  }

  boolean(): boolean {
    if (typeof this.value !== 'boolean') throw this.problem('true or false');
    return this.value;
  }

  /** An exact integer of at least `min`. */
  integer(min: number): number {
    if (!Number.isSafeInteger(this.value) || (this.value as number) < min) throw this.problem(`an integer of at least ${min}`);
    return this.value as number;
  }

  /** A finite number of at least 0. */
  amount(): number {
    if (typeof this.value !== 'number' || !Number.isFinite(this.value) || this.value < 0) throw this.problem('a number of at least 0');
    return this.value;
  }

  integers(min: number): number[] {
    return this.array().map((each) => each.integer(min));
  }

  problem(allowed: string): JsonProblem {
    const found = this.missing ? 'is missing' : `is ${JSON.stringify(this.value).slice(0, 80)}`;
    return new JsonProblem(`'${this.path}' must be ${allowed} and ${found}`);
  }
}

/** What `check` makes of JSON in `file`. Throws FormatError (ERR_MANIFEST) for what is not JSON, or not what it takes. */
export function checkedJson<T>(file: string, text: string, hint: string, check: (root: JsonField) => T): T {
  try {
    return check(JsonField.root(JSON.parse(text)));
  } catch (cause) {
    const problem =
      cause instanceof JsonProblem ? cause.message : cause instanceof SyntaxError ? `is not JSON: ${cause.message}` : undefined;
    if (problem === undefined) throw cause;
    throw new FormatError('ERR_MANIFEST', file, problem, hint, {cause});
  }
}

export function sha256Field(field: JsonField): string {
  return field.string('a SHA-256 in hexadecimal', (text) => /^[0-9a-f]{64}$/.test(text));
}

export function pathField(field: JsonField): string {
  return field.string('a path', (path) => path !== '' && !path.includes('\0'));
}
