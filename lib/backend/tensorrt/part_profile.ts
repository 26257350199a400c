/** The sizes that a decoder's parts are built for. */

import type {DecoderPart, RowRange} from '../../decoder/lowered_decoder.js';
import type {Profile} from '../../engine/build/options.js';
import {tensorInfo} from '../../onnx/graph.js';
import type {Model} from '../../onnx/model.js';

/** Rows of a step at most. */
export const MOST_ROWS: Readonly<Record<RowRange, number>> = {decode: 16, wide: 128, prefill: 2048};
/** Rows that a step is likeliest to have, for which TensorRT chooses kernels. */
const LIKELY_ROWS: Readonly<Record<RowRange, number>> = {decode: 1, wide: 64, prefill: 512};

export interface PartSizes {
  /** Sequences that have a row in the table of pages. */
  slots: number;
  pagesPerSlot: number;
}

/** What a plan takes at least: so that most loads, whatever their limits, find the same plans in the engine cache. */
const COMMON: PartSizes = {slots: 256, pagesPerSlot: 2048};

/** Of a part's model; undefined if none of its inputs has a dynamic shape. */
export function partProfile(
  model: Model,
  kind: DecoderPart['kind'],
  range: RowRange,
  {slots, pagesPerSlot}: PartSizes,
): Profile | undefined {
  const mostSlots = atLeast(COMMON.slots, slots);
  const mostPages = atLeast(COMMON.pagesPerSlot, pagesPerSlot);
  // A prologue serves all ranges, an epilogue a row for each slot at most.
  const rows = {prologue: MOST_ROWS.prefill, block: MOST_ROWS[range], epilogue: mostSlots}[kind];
  // In decode steps each run is one row; in prefill steps one more than there are slots may be padding.
  const [likelyRuns, runs] = range === 'prefill' ? [1, mostSlots + 1] : [LIKELY_ROWS[range], rows];
  const sizes: Readonly<Record<string, readonly [min: number, opt: number, max: number]>> = {
    rows: [1, LIKELY_ROWS[range], rows],
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
