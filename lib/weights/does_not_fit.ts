/** A model that this machine's memory, or what was given of it, cannot hold. */

import {TensorrtNodeError} from '../errors.js';
import {formatMemory} from './format_memory.js';

/** Options of `loadModel` with which it would fit, as near to those asked for as can be. */
export interface FittingOptions {
  maxContext?: number;
  maxBatch?: number;
  placement?: 'auto' | {gpu?: string; ram?: string};
}

/** Thrown before anything is loaded. `code` is 'ERR_DOES_NOT_FIT'. */
export class DoesNotFitError extends TensorrtNodeError {
  override readonly name = 'DoesNotFitError';

  constructor(
    /** Whose memory is short. */
    readonly memory: 'gpu' | 'ram',
    /** Bytes, at least, and the bytes there are. */
    readonly neededBytes: number,
    readonly availableBytes: number,
    /** What needs it, for people. */
    readonly what: string,
    /** Undefined where no setting fits. */
    readonly nearest?: FittingOptions,
    hint = nearest === undefined ? 'no setting of this model fits here' : `it fits with ${described(nearest)}`,
  ) {
    super(
      'ERR_DOES_NOT_FIT',
      `${what}: needs ${formatMemory(neededBytes)} of ${memory === 'gpu' ? 'GPU memory' : 'RAM'}, ` +
        `${formatMemory(neededBytes - availableBytes)} more than the ${formatMemory(availableBytes)} there are for it`,
      hint,
    );
  }

  /** Bytes that are missing. */
  get missingBytes(): number {
    return this.neededBytes - this.availableBytes;
  }
}

function described(options: FittingOptions): string {
  return Object.entries(options)
    .map(([name, value]) => `${name}: ${JSON.stringify(value).replaceAll('"', "'")}`)
    .join(', ');
}
