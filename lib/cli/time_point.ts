/** Times of a trace as people write them: '1.2s', '350ms', '40us'. */

import {OptionError} from '../errors.js';

const UNITS: Readonly<Record<string, number>> = {ns: 1, us: 1e3, µs: 1e3, ms: 1e6, s: 1e9};

/** In nanoseconds. Throws OptionError. */
export function parseTimePoint(option: string, text: string): number {
  const [, number, unit] = /^(-?\d+(?:\.\d+)?) ?(ns|us|µs|ms|s)$/.exec(text.trim()) ?? [];
  if (number === undefined) throw new OptionError(option, "a number with ns, us, ms or s, such as '1.2s'", text);
  return Math.round(Number(number) * UNITS[unit!]!);
}
