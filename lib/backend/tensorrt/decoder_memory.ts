/** What a decoder may have of this machine's memory, and how it shares it out. */

import type {DecoderIndex} from '../../decoder/lowered_decoder.js';
import type {BuildEnvironment} from '../../engine/build/environment.js';
import {translated} from '../../native/errors.js';
import {decoderWeights} from '../../weights/decoder_weights.js';
import {pinnableBytes} from '../../weights/pinnable.js';
import type {CheckedPlacement} from '../../weights/placement_option.js';
import {type MemoryPlan, planMemory} from '../../weights/plan_memory.js';
import type {ModelLimits} from '../backend.js';

export interface DecoderMemoryOptions extends ModelLimits {
  environment: Pick<BuildEnvironment, 'addon' | 'device'>;
  deterministic?: boolean;
  /** Bytes that the engines compute in, where they are there. */
  scratchBytes?: number;
  /** Default: in VRAM what fits, the rest in RAM, what does not fit there on disk. */
  placement?: CheckedPlacement;
  offloadFolder?: string;
}

/** Of what is free now. Throws DoesNotFitError, OptionError where a placement's function answers no tier, CudaError. */
export function decoderMemory(index: DecoderIndex, options: DecoderMemoryOptions): MemoryPlan {
  const {environment, maxBatch, maxContext, deterministic = false, placement = {}, scratchBytes} = options;
  const {addon, device} = environment;
  const {freeBytes} = translated(() => new addon.Device(device).memory());
  return planMemory({
    shape: index.shape,
    weights: decoderWeights(index),
    maxBatch,
    maxContext,
    deterministic,
    placement,
    scratchBytes,
    free: {gpuBytes: freeBytes, ramBytes: pinnableBytes()},
    offloaded: options.offloadFolder !== undefined,
  });
}
