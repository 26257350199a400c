/** How large the steps of a decoder may be, and what of the GPU's memory they take beside weights and cache. */

import type {DecoderShape} from '../../decoder/lowered_decoder.js';
import {mappedBytes} from '../../weights/mapped_bytes.js';
import type {ModelLimits} from '../backend.js';
import {DETERMINISTIC_ROWS, MOST_ROWS} from './part_profile.js';

/** As NativeDecoderRequest has them. */
export interface StepLimits {
  slots: number;
  decodeRows: number;
  narrowRows: number;
  prefillRows: number;
  scoreRows: number;
}

export function stepLimits({maxBatch, deterministic}: Pick<ModelLimits, 'maxBatch'> & {deterministic: boolean}): StepLimits {
  return {
    slots: maxBatch,
    // Deterministic steps have as many however few streams there may be.
    decodeRows: deterministic ? DETERMINISTIC_ROWS : Math.min(MOST_ROWS.wide, maxBatch),
    narrowRows: MOST_ROWS.decode,
    prefillRows: MOST_ROWS.prefill,
    scoreRows: MOST_ROWS.decode,
  };
}

/** Parts that a row's logits are looked at in, and bytes that each leaves: sampleWorkspaceBytes in native/kernels. */
const SAMPLE_PART = 1024;
const SAMPLE_PART_BYTES = 32 + 2 * 8 * 8;
/** A row's record of what was chosen. */
const RECORD_BYTES = 172;

/** Bytes of the hidden rows, logits and tables that the runner in native/decode/gpu holds. */
export function stepBytes(
  {hiddenSize, vocabularySize}: Pick<DecoderShape, 'hiddenSize' | 'vocabularySize'>,
  {slots, decodeRows, prefillRows, scoreRows}: StepLimits,
  pagesPerSlot: number,
): number {
  const rows = Math.max(prefillRows, decodeRows, scoreRows);
  const chosen = Math.max(decodeRows, slots, scoreRows);
  const hidden = (2 * rows + chosen) * hiddenSize * 2;
  const sampled = Math.ceil(vocabularySize / SAMPLE_PART) * SAMPLE_PART_BYTES + Math.ceil(vocabularySize / 4) * 16;
  return mappedBytes(hidden + chosen * (vocabularySize * 4 + sampled)) + chosen * RECORD_BYTES + slots * pagesPerSlot * 4;
}
