/** What a decoder may have of this machine's memory, and how it shares it out. */

import type {DecoderIndex} from '../../decoder/lowered_decoder.js';
import type {BuildEnvironment} from '../../engine/build/environment.js';
import {translated} from '../../native/errors.js';
import {type MemoryAmounts, memoryBudget, type Reservation} from '../../weights/budget.js';
import {decoderWeights} from '../../weights/decoder_weights.js';
import {hostMemory} from '../../weights/host_memory.js';
import {pinnableBytes} from '../../weights/pinnable.js';
import {pinnedBytesOf} from '../../weights/place_runs.js';
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

/**
 * Of what is free now, and what is left of the process's budget. Throws DoesNotFitError, OptionError where a placement's
 * function answers no tier, CudaError.
 */
export function decoderMemory(index: DecoderIndex, options: DecoderMemoryOptions): MemoryPlan {
  const {environment, maxBatch, maxContext, deterministic = false, placement = {}, scratchBytes} = options;
  const {free, total} = machineMemory(environment);
  const left = memoryBudget.left(environment.device, free, total);
  return planMemory({
    shape: index.shape,
    weights: decoderWeights(index),
    maxBatch,
    maxContext,
    deterministic,
    placement,
    scratchBytes,
    free: {gpuBytes: left.gpu, ramBytes: left.ram},
    offloaded: options.offloadFolder !== undefined,
  });
}

/** What a plan takes, for as long as its model is there. To be called with a plan that was just made. Throws MemoryBudgetError. */
export function reserveMemory(holder: string, {gpu, placed}: MemoryPlan, environment: DecoderMemoryOptions['environment']): Reservation {
  const amounts = {gpu: Object.values(gpu).reduce((sum, bytes) => sum + bytes, 0), ram: pinnedBytesOf(placed)};
  return memoryBudget.reserve(holder, environment.device, amounts, machineMemory(environment).total);
}

function machineMemory({addon, device}: DecoderMemoryOptions['environment']): {free: MemoryAmounts; total: MemoryAmounts} {
  const {freeBytes, totalBytes} = translated(() => new addon.Device(device).memory());
  const host = hostMemory();
  return {free: {gpu: freeBytes, ram: pinnableBytes(host)}, total: {gpu: totalBytes, ram: host.limitBytes}};
}
