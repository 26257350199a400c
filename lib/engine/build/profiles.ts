/** Optimization profiles: the user's, checked against the model's inputs, or ones derived from their shapes. */

import {OptionError} from '../../errors.js';
import type {NativeProfileRange} from '../../native/engine_addon.js';
import type {ModelInput} from './model_source.js';
import {isShape, type Profile} from './options.js';

export type NativeProfile = Readonly<Record<string, NativeProfileRange>>;

export function isDynamic({dims}: ModelInput): boolean {
  return dims.some((dim) => typeof dim === 'string');
}

/** Throws OptionError for a profile that does not fit the inputs. */
export function checkedProfiles(profiles: readonly Profile[], inputs: readonly ModelInput[]): NativeProfile[] {
  const byName = new Map(inputs.map((input) => [input.name, input]));
  return profiles.map((profile, index) => {
    const option = `profiles[${index}]`;
    const checked: Record<string, NativeProfileRange> = {};
    for (const [name, range] of Object.entries(profile)) {
      const input = byName.get(name);
      if (input === undefined)
        throw new OptionError(`${option}.${name}`, `for one of the model's inputs: ${[...byName.keys()].join(', ')}`, range);
      const full: NativeProfileRange = isShape(range) ? {min: range, opt: range, max: range} : range;
      if (!full.values) checkFits(`${option}.${name}`, full, input);
      // TensorRT wants no profile for a shape that cannot change.
      if (full.values || isDynamic(input))
        checked[name] = {min: full.min, opt: full.opt, max: full.max, ...(full.values ? {values: true} : {})};
    }
    const missing = inputs.find((input) => isDynamic(input) && !Object.hasOwn(checked, input.name));
    if (missing !== undefined)
      throw new OptionError(
        option,
        `a range for every input with a dynamic shape, '${missing.name}' ${describeDims(missing)} too`,
        profile,
      );
    return checked;
  });
}

function checkFits(option: string, {min, opt, max}: NativeProfileRange, input: ModelInput): void {
  for (const shape of [min, opt, max]) {
    const fits = shape.length === input.dims.length && input.dims.every((dim, index) => typeof dim === 'string' || dim === shape[index]);
    if (!fits) throw new OptionError(option, `shapes that fit '${input.name}' ${describeDims(input)}`, shape);
  }
}

export function describeDims({dims}: ModelInput): string {
  return `[${dims.map((dim) => (dim === '' ? '?' : dim)).join(', ')}]`;
}

interface Extent {
  min: number;
  opt: number;
  max: number;
}

/** Documented in docs/building-engines.md. */
const BATCH: Extent = {min: 1, opt: 1, max: 8};
const LENGTH: Extent = {min: 1, opt: 128, max: 512};
const PAST: Extent = {min: 0, opt: 128, max: 512};
const SIDE: Extent = {min: 32, opt: 640, max: 1280};

const BATCH_NAME = /batch|^(n|b|bs)$/i;
const PAST_NAME = /past/i;
const SIDE_NAME = /height|width|^(h|w)$/i;
const LENGTH_NAME = /seq|len|time|token|frame|sample/i;

/**
 * One profile for inputs with dynamic shapes, [] if there are none. Each dynamic dimension is a batch (the first, unless
 * its name says otherwise, and the middle of a state beside an input with a batch), a side of a picture or a length;
 * dimensions of one name have one extent.
 */
export function derivedProfiles(inputs: readonly ModelInput[]): NativeProfile[] {
  if (!inputs.some(isDynamic)) return [];
  const batched = inputs.some((input) => typeof input.dims[0] === 'string' && extentOf(input, 0, input.dims[0]) === BATCH);
  const extent = (input: ModelInput, index: number, name: string): Extent =>
    name === '' && batched && isState(input) ? BATCH : extentOf(input, index, name);
  const named = new Map<string, Extent>();
  // A name means the same everywhere, so the input where it says most about itself decides: its first place.
  for (const input of inputs) {
    for (const [index, dim] of input.dims.entries())
      if (typeof dim === 'string' && dim !== '' && !named.has(dim)) named.set(dim, extent(input, index, dim));
  }
  const profile: Record<string, NativeProfileRange> = {};
  for (const input of inputs) {
    if (!isDynamic(input)) continue;
    const extents = input.dims.map(
      (dim, index): Extent => (typeof dim === 'number' ? {min: dim, opt: dim, max: dim} : (named.get(dim) ?? extent(input, index, dim))),
    );
    profile[input.name] = {min: extents.map(({min}) => min), opt: extents.map(({opt}) => opt), max: extents.map(({max}) => max)};
  }
  return [profile];
}

function extentOf(input: ModelInput, index: number, name: string): Extent {
  if (BATCH_NAME.test(name)) return BATCH;
  if (PAST_NAME.test(name)) return PAST;
  if (SIDE_NAME.test(name)) return sideExtent(input, index);
  if (LENGTH_NAME.test(name)) return LENGTH;
  if (index === 0) return BATCH;
  return pictureSides(input).includes(index) ? sideExtent(input, index) : LENGTH;
}

/** [layers, batch, size], as recurrent networks take theirs. */
function isState({dims}: ModelInput): boolean {
  return dims.length === 3 && typeof dims[0] === 'number' && typeof dims[1] === 'string' && typeof dims[2] === 'number';
}

/** Places of height and width: of [N, C, H, W] or [N, H, W, C] with 1, 3 or 4 channels; none if it is no picture. */
function pictureSides({dims}: ModelInput): number[] {
  if (dims.length !== 4) return [];
  if (isChannels(dims[1]!)) return [2, 3];
  return isChannels(dims[3]!) ? [1, 2] : [];
}

function isChannels(dim: number | string): boolean {
  return dim === 1 || dim === 3 || dim === 4;
}

/** Beside a fixed side the other is a line of text or sound: from a square to 32 times as long. */
function sideExtent(input: ModelInput, index: number): Extent {
  const other = pictureSides(input).find((each) => each !== index);
  const fixed = other === undefined ? undefined : input.dims[other];
  return typeof fixed === 'number' ? {min: fixed, opt: 8 * fixed, max: 32 * fixed} : SIDE;
}
