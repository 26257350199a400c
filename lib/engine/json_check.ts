/** Takes JSON that anybody may have written apart, field by field; whatever is not as expected is named by its path. */

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
