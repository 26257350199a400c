/** A GGUF file's metadata: keys and typed values, and getters that check the type of what they return. */

import {FormatError} from '../../errors.js';
import type {Cursor} from './cursor.js';

/** 64-bit integers are numbers where a number holds them exactly. Arrays of numbers are read as one block of bytes. */
export type MetadataValue = number | bigint | boolean | string | readonly string[] | NumericArray;

export type NumericArray =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float32Array
  | Float64Array
  | BigUint64Array
  | BigInt64Array;

/** `enum gguf_metadata_value_type`. */
const BOOL = 7;
const STRING = 8;
const ARRAY = 9;

/** How numbers of each type look in memory; GGUF and every platform Node runs on are little-endian. */
const NUMBERS: Readonly<Record<number, {bytes: number; view: (buffer: ArrayBuffer) => NumericArray}>> = {
  0: {bytes: 1, view: (buffer) => new Uint8Array(buffer)},
  1: {bytes: 1, view: (buffer) => new Int8Array(buffer)},
  2: {bytes: 2, view: (buffer) => new Uint16Array(buffer)},
  3: {bytes: 2, view: (buffer) => new Int16Array(buffer)},
  4: {bytes: 4, view: (buffer) => new Uint32Array(buffer)},
  5: {bytes: 4, view: (buffer) => new Int32Array(buffer)},
  6: {bytes: 4, view: (buffer) => new Float32Array(buffer)},
  [BOOL]: {bytes: 1, view: (buffer) => new Uint8Array(buffer)},
  10: {bytes: 8, view: (buffer) => new BigUint64Array(buffer)},
  11: {bytes: 8, view: (buffer) => new BigInt64Array(buffer)},
  12: {bytes: 8, view: (buffer) => new Float64Array(buffer)},
};

/** No sound header holds a longer array; the largest vocabularies have a quarter of a million tokens. */
const MAX_ARRAY = 1 << 22;

export class Metadata {
  constructor(
    private readonly path: string,
    private readonly entries: ReadonlyMap<string, MetadataValue>,
  ) {}

  get(key: string): MetadataValue | undefined {
    return this.entries.get(key);
  }

  integer(key: string): number | undefined {
    const value = this.entries.get(key);
    if (value === undefined || (typeof value === 'number' && Number.isSafeInteger(value))) return value;
    throw this.wrong(key, 'an integer', value);
  }

  number(key: string): number | undefined {
    const value = this.entries.get(key);
    if (value === undefined || (typeof value === 'number' && Number.isFinite(value))) return value;
    throw this.wrong(key, 'a finite number', value);
  }

  boolean(key: string): boolean | undefined {
    const value = this.entries.get(key);
    if (value === undefined || typeof value === 'boolean') return value;
    throw this.wrong(key, 'a boolean', value);
  }

  string(key: string): string | undefined {
    const value = this.entries.get(key);
    if (value === undefined || typeof value === 'string') return value;
    throw this.wrong(key, 'a string', value);
  }

  strings(key: string): readonly string[] | undefined {
    const value = this.entries.get(key);
    if (value === undefined || (Array.isArray(value) && value.every((each) => typeof each === 'string'))) return value;
    throw this.wrong(key, 'an array of strings', value);
  }

  /** 64-bit integers aside, which no key read here uses. */
  numbers(key: string): Exclude<NumericArray, BigUint64Array | BigInt64Array> | undefined {
    const value = this.entries.get(key);
    if (value === undefined) return undefined;
    if (ArrayBuffer.isView(value) && !(value instanceof BigUint64Array) && !(value instanceof BigInt64Array)) return value;
    throw this.wrong(key, 'an array of numbers', value);
  }

  private wrong(key: string, expected: string, value: MetadataValue): FormatError {
    const got = typeof value === 'object' ? 'an array' : JSON.stringify(String(value).slice(0, 80));
    return new FormatError('ERR_GGUF', this.path, `metadata ${key} must be ${expected}, got ${got}`);
  }
}

export async function readMetadata(cursor: Cursor, count: number): Promise<Metadata> {
  const entries = new Map<string, MetadataValue>();
  for (let i = 0; i < count; i++) {
    const start = cursor.position;
    const key = await cursor.string('a metadata key', true);
    if (entries.has(key)) throw cursor.error(`metadata ${JSON.stringify(key.slice(0, 80))} is there twice, again`, start);
    await cursor.need(4, `the type of metadata ${key.slice(0, 80)}`);
    entries.set(key, await readValue(cursor, cursor.takeUint32(), key));
  }
  return new Metadata(cursor.path, entries);
}

async function readValue(cursor: Cursor, type: number, key: string): Promise<MetadataValue> {
  const what = `metadata ${key.slice(0, 80)}`;
  if (type === STRING) return cursor.string(what);
  if (type === ARRAY) return readArray(cursor, what);

  const layout = NUMBERS[type];
  if (!layout) throw cursor.error(`${what} has the unknown type ${type}`, cursor.position - 4);
  await cursor.need(layout.bytes, what);
  const value = layout.view(cursor.takeBytes(layout.bytes).buffer)[0]!;
  if (type === BOOL) {
    if (value !== 0 && value !== 1) throw cursor.error(`${what} is a boolean of value ${value}`, cursor.position - 1);
    return value === 1;
  }
  return typeof value === 'bigint' && BigInt(Number(value)) === value && Number.isSafeInteger(Number(value)) ? Number(value) : value;
}

/** Arrays of arrays, which the format allows, are in no model; nor does ggml read them. */
async function readArray(cursor: Cursor, what: string): Promise<MetadataValue> {
  await cursor.need(4, what);
  const type = cursor.takeUint32();
  const layout = NUMBERS[type];
  if (type === ARRAY) throw cursor.error(`${what} is an array of arrays`, cursor.position - 4);
  if (!layout && type !== STRING) throw cursor.error(`${what} has the unknown type ${type}`, cursor.position - 4);

  const count = await cursor.count(`elements of ${what}`, layout?.bytes ?? 8, MAX_ARRAY);
  if (layout) {
    await cursor.need(count * layout.bytes, what);
    return layout.view(cursor.takeBytes(count * layout.bytes).buffer);
  }
  const strings: string[] = [];
  for (let i = 0; i < count; i++) strings.push(cursor.tryString() ?? (await cursor.string(what)));
  return strings;
}
