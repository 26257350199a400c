/** Amounts of memory as users write them: bytes, or '40GiB'. */

import {OptionError} from '../errors.js';

export type ByteSize = number | string;

const UNITS: Readonly<Record<string, number>> = {
  B: 1,
  kB: 1e3,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
};

/** Bytes, rounded down. Throws OptionError for what is no amount. */
export function byteSize(option: string, value: unknown): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
  const [, digits, unit = 'B'] = (typeof value === 'string' && /^(\d+(?:\.\d+)?) ?([A-Za-z]+)?$/.exec(value)) || [];
  const bytes = Math.floor(Number(digits) * (UNITS[unit] ?? Number.NaN));
  if (Number.isSafeInteger(bytes)) return bytes;
  throw new OptionError(option, "bytes, or an amount such as '40GiB' or '500 MB'", value);
}
