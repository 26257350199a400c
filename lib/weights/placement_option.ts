/** `placement`: where a user wants a model's weights to be. */

import {OptionError} from '../errors.js';
import {noOthers} from '../options.js';
import {type ByteSize, byteSize} from './byte_size.js';

/** The GPU's memory; pinned host memory; the model's own files, or what `offloadFolder` holds of them. */
export type Tier = 'gpu' | 'ram' | 'disk';

/** A layer's weights: what is placed as one. */
export interface PlacementBlock {
  /** Among those that can be placed, in the order they run. */
  index: number;
  /** 'layer 0'. */
  name: string;
  bytes: number;
  layer?: number;
}

export interface PlacementLimits {
  /** VRAM for weights: those that stay there, and the places that others pass through. Default: what is free. */
  gpu?: ByteSize;
  /** Pinned host memory for weights. Default: most of what this process may have. */
  ram?: ByteSize;
}

/**
 * 'auto': in VRAM what fits, the rest in RAM, what does not fit there on disk. Limits: the same within them; '80%' is a part
 * of what is free. A function: a tier for each layer.
 */
export type Placement = 'auto' | PlacementLimits | ((block: PlacementBlock) => Tier);

/** Bytes of so many free ones. */
export type Amount = (freeBytes: number) => number;

export type CheckedPlacement = {gpu?: Amount; ram?: Amount} | {choose: (block: PlacementBlock) => Tier};

const PLACEMENTS = "'auto', {gpu, ram} with amounts of memory, or a function";

/** Throws OptionError. */
export function checkPlacement(value: unknown): CheckedPlacement {
  if (value === undefined || value === 'auto') return {};
  if (typeof value === 'function') return {choose: value as (block: PlacementBlock) => Tier};
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new OptionError('placement', PLACEMENTS, value);
  noOthers('placement', value, ['gpu', 'ram']);
  const {gpu, ram} = value as PlacementLimits;
  return {
    ...(gpu === undefined ? {} : {gpu: amount('placement.gpu', gpu)}),
    ...(ram === undefined ? {} : {ram: amount('placement.ram', ram)}),
  };
}

/** An amount of memory, or a part of what is free, as '80%'. Throws OptionError. */
export function amount(option: string, value: unknown): Amount {
  const [, percent] = (typeof value === 'string' && /^(\d+(?:\.\d+)?) ?%$/.exec(value)) || [];
  if (percent === undefined) {
    const bytes = byteSize(option, value);
    return () => bytes;
  }
  const share = Number(percent) / 100;
  if (share > 1) throw new OptionError(option, 'at most 100%', value);
  return (freeBytes) => Math.floor(freeBytes * share);
}
