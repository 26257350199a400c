/** JSON files of a Hugging Face folder: read with a limit on their size, and fields with a check of their type. */

import {FormatError} from '../errors.js';
import {InputFile} from './input_file.js';

type Code = 'ERR_CONFIG' | 'ERR_SAFETENSORS' | 'ERR_TOKENIZER';

export type JsonObject = Readonly<Record<string, unknown>>;

/** The largest tokenizer.json takes some 35 MB. */
const MAX_BYTES = 1 << 28;

/** Deeper values would overflow the stack of whatever walks them, JSON.stringify first. No sound file comes near. */
const MAX_DEPTH = 64;

/** A text file; undefined if there is none. Throws FormatError with `code` for one that is far too large. */
export async function readText(path: string, code: Code): Promise<string | undefined> {
  let file: InputFile;
  try {
    file = await InputFile.open(path);
  } catch (error) {
    if (error instanceof FormatError && (error.cause as NodeJS.ErrnoException | undefined)?.code === 'ENOENT') return undefined;
    throw error;
  }
  try {
    if (file.size > MAX_BYTES) throw new FormatError(code, path, `is ${file.size} bytes long, more than the ${MAX_BYTES} allowed`);
    return Buffer.from(await file.read(0, file.size)).toString('utf8');
  } finally {
    await file[Symbol.asyncDispose]();
  }
}

/** A file that holds one JSON object; undefined if there is no such file. */
export async function readJson(path: string, code: Code): Promise<JsonObject | undefined> {
  const text = await readText(path, code);
  return text === undefined ? undefined : parseObject(text, path, code);
}

/** Throws FormatError with `code` for what is not JSON, not an object, or nested absurdly deep. */
export function parseObject(text: string, path: string, code: Code): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new FormatError(code, path, `is not JSON: ${(cause as Error).message}`, undefined, {cause});
  }
  if (!isObject(value)) throw new FormatError(code, path, 'is not a JSON object');
  if (!isShallow(value, MAX_DEPTH)) throw new FormatError(code, path, `nests values more than ${MAX_DEPTH} deep`);
  return value;
}

function isShallow(value: unknown, depth: number): boolean {
  if (typeof value !== 'object' || value === null) return true;
  return depth > 0 && Object.values(value).every((each) => isShallow(each, depth - 1));
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Reads fields of an object, null standing for absent. Errors are FormatError ERR_CONFIG and name the field. */
export class Fields {
  constructor(
    private readonly path: string,
    private readonly object: JsonObject,
    private readonly prefix = '',
  ) {}

  error(problem: string): FormatError {
    return new FormatError('ERR_CONFIG', this.path, problem);
  }

  /** Whether the field is there, be it null. */
  has(name: string): boolean {
    return Object.hasOwn(this.object, name);
  }

  get(name: string): unknown {
    return this.has(name) ? (this.object[name] ?? undefined) : undefined;
  }

  integer(name: string): number | undefined {
    return this.typed(name, 'an integer', (value): value is number => Number.isSafeInteger(value));
  }

  number(name: string): number | undefined {
    return this.typed(name, 'a number', (value): value is number => typeof value === 'number' && Number.isFinite(value));
  }

  boolean(name: string): boolean | undefined {
    return this.typed(name, 'a boolean', (value): value is boolean => typeof value === 'boolean');
  }

  string(name: string): string | undefined {
    return this.typed(name, 'a string', (value): value is string => typeof value === 'string');
  }

  strings(name: string): string[] | undefined {
    return this.typed(
      name,
      'a list of strings',
      (value): value is string[] => Array.isArray(value) && value.every((each) => typeof each === 'string'),
    );
  }

  numbers(name: string): number[] | undefined {
    return this.typed(
      name,
      'a list of numbers',
      (value): value is number[] => Array.isArray(value) && value.every((each) => typeof each === 'number'),
    );
  }

  fields(name: string): Fields | undefined {
    const object = this.typed(name, 'an object', isObject);
    return object && new Fields(this.path, object, `${this.prefix}${name}.`);
  }

  required<T>(name: string, value: T | undefined): T {
    if (value === undefined) throw this.error(`${this.prefix}${name} is missing`);
    return value;
  }

  private typed<T>(name: string, expected: string, check: (value: unknown) => value is T): T | undefined {
    const value = this.get(name);
    if (value === undefined || check(value)) return value;
    throw this.error(`${this.prefix}${name} must be ${expected}, got ${JSON.stringify(value).slice(0, 80)}`);
  }
}
