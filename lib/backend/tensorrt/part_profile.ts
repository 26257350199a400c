/** The sizes that a decoder's parts are built for. */

import type {DecoderPart, RowRange} from '../../decoder/lowered_decoder.js';
import type {Profile} from '../../engine/build/options.js';
import {tensorInfo} from '../../onnx/graph.js';
import type {Model} from '../../onnx/model.js';

/** Rows of a step at most. */
export const MOST_ROWS: Readonly<Record<RowRange, number>> = {decode: 32, wide: 128, prefill: 2048};
/** Rows of each step of streams whose tokens must not depend on how many there are: more would take longer. */
export const DETERMINISTIC_ROWS = 16;
/**
 * Rows that a step is likeliest to have, for which TensorRT chooses kernels; and the most that those are for. Pieces of
 * prompts are short beside streams, and kernels for many rows take as long for few.
 */
const LIKELY_ROWS: Readonly<Record<RowRange, readonly (readonly [likely: number, most: number])[]>> = {
  decode: [[1, MOST_ROWS.decode]],
  wide: [[64, MOST_ROWS.wide]],
  prefill: [
    [128, 256],
    [512, MOST_ROWS.prefill],
  ],
};

export interface PartSizes {
  /** Sequences that have a row in the table of pages. */
  slots: number;
  pagesPerSlot: number;
}

/** What a plan takes at least: so that most loads, whatever their limits, find the same plans in the engine cache. */
const COMMON: PartSizes = {slots: 256, pagesPerSlot: 2048};

/** Of a part's model, the first that holds a step's rows being for it; none if no input has a dynamic shape. */
export function partProfiles(model: Model, kind: DecoderPart['kind'], range: RowRange, sizes: PartSizes): Profile[] {
  return LIKELY_ROWS[range].map((each) => profile(model, kind, range, each, sizes)).filter((each) => each !== undefined);
}

function profile(
  model: Model,
  kind: DecoderPart['kind'],
  range: RowRange,
  [likelyRows, mostRows]: readonly [number, number],
  {slots, pagesPerSlot}: PartSizes,
): Profile | undefined {
  const mostSlots = atLeast(COMMON.slots, slots);
  const mostPages = atLeast(COMMON.pagesPerSlot, pagesPerSlot);
  // A prologue serves all ranges, an epilogue a row for each slot at most.
  const rows = {prologue: MOST_ROWS.prefill, block: mostRows, epilogue: mostSlots}[kind];
  // In decode steps each run is one row; in prefill steps one more than there are slots may be padding.
  const [likelyRuns, runs] = range === 'prefill' ? [1, mostSlots + 1] : [likelyRows, rows];
  const sizes: Readonly<Record<string, readonly [min: number, opt: number, max: number]>> = {
    rows: [1, likelyRows, rows],
    runs: [1, likelyRuns, runs],
    run_bounds: [2, likelyRuns + 1, runs + 1],
    slots: [1, 8, mostSlots],
    pages_per_slot: [1, 128, mostPages],
  };
  const ranges = model.graph.input.flatMap((input) => {
    const dims = tensorInfo(input)?.dims ?? [];
    if (dims.every((dim) => typeof dim === 'number')) return [];
    const shape = (at: 0 | 1 | 2) => dims.map((dim) => (typeof dim === 'number' ? dim : sizes[dim]![at]));
    return [[input.name, {min: shape(0), opt: shape(1), max: shape(2)}] as const];
  });
  return ranges.length === 0 ? undefined : Object.fromEntries(ranges);
}

/** A power of two times `common`. */
function atLeast(common: number, wanted: number): number {
  return common * 2 ** Math.max(0, Math.ceil(Math.log2(wanted / common)));
}
