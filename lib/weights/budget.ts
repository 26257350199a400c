/** What all models of a thread may have of the machine's memory together: reserved before it is taken, so that none is promised twice. */

import {TensorrtNodeError} from '../errors.js';
import {noOthers, object} from '../options.js';
import type {ByteSize} from './byte_size.js';
import {formatMemory} from './format_memory.js';
import {type Amount, amount} from './placement_option.js';

export interface MemoryBudgetOptions {
  /** VRAM of each GPU; '80%' is a part of it. Default: all. */
  gpu?: ByteSize;
  /** Host memory, pinned or not; '80%' is a part of what this process may have. Default: all. */
  ram?: ByteSize;
}

/** Bytes. */
export interface MemoryAmounts {
  gpu: number;
  ram: number;
}

/** Memory that a budget has no more of; the work that asked for it ends, and nothing else does. */
export class MemoryBudgetError extends TensorrtNodeError {
  override readonly name = 'MemoryBudgetError';

  constructor(
    readonly memory: keyof MemoryAmounts,
    /** Bytes. */
    readonly neededBytes: number,
    readonly availableBytes: number,
    holder: string,
  ) {
    super(
      'ERR_OUT_OF_MEMORY',
      `${holder} needs ${formatMemory(neededBytes)} of ${memory === 'gpu' ? 'GPU memory' : 'RAM'}, ` +
        `and the budget has ${formatMemory(Math.max(0, availableBytes))} left`,
      'dispose of or suspend another model, or give setMemoryBudget more',
    );
  }
}

/** What a holder may take, until it is disposed of. */
export interface Reservation extends Disposable {
  readonly holder: string;
  /** What it has now; more than before only where the budget has it. Throws MemoryBudgetError, and nothing has changed then. */
  resize(amounts: MemoryAmounts): void;
  /** What was reserved is taken now, so that the machine's own figures count it; `amounts`: and was so much. */
  settle(amounts?: MemoryAmounts): void;
}

interface Held {
  holder: string;
  device: number;
  amounts: MemoryAmounts;
  /** Whether the memory is taken. */
  settled: boolean;
}

const KINDS = ['gpu', 'ram'] as const;

export class MemoryBudget {
  #limits: {gpu?: Amount; ram?: Amount} = {};
  readonly #held = new Set<Held>();

  /** Throws OptionError. Models that are loaded keep what they have. */
  setLimits(options: MemoryBudgetOptions): void {
    const {gpu, ram} = object('options', options);
    noOthers('options', options, KINDS);
    this.#limits = {
      ...(gpu === undefined ? {} : {gpu: amount('gpu', gpu)}),
      ...(ram === undefined ? {} : {ram: amount('ram', ram)}),
    };
  }

  /** Bytes that are reserved; `device`: of its memory. */
  reserved(device: number): MemoryAmounts {
    return this.#sum(device, () => true);
  }

  /**
   * What can still be reserved. `free`: what the machine says is free, which knows nothing of what was reserved and not yet
   * taken. `total`: what percentages are of.
   */
  left(device: number, free: MemoryAmounts, total: MemoryAmounts): MemoryAmounts {
    const reserved = this.reserved(device);
    const coming = this.#sum(device, ({settled}) => !settled);
    const left = (kind: keyof MemoryAmounts) =>
      Math.max(0, Math.min(free[kind] - coming[kind], (this.#limits[kind]?.(total[kind]) ?? Infinity) - reserved[kind]));
    return {gpu: left('gpu'), ram: left('ram')};
  }

  /** Reserves what `left` said is there; nothing may happen in between. */
  reserve(holder: string, device: number, amounts: MemoryAmounts, total: MemoryAmounts): Reservation {
    const held: Held = {holder, device, amounts: {gpu: 0, ram: 0}, settled: false};
    const resize = (wanted: MemoryAmounts) => {
      this.#check(held, wanted, total);
      held.amounts = {...wanted};
    };
    resize(amounts);
    this.#held.add(held);
    return {
      holder,
      resize: (wanted) => {
        resize(wanted);
        held.settled = false;
      },
      settle: (taken = held.amounts) => {
        held.amounts = {...taken};
        held.settled = true;
      },
      [Symbol.dispose]: () => void this.#held.delete(held),
    };
  }

  /** Against the limits alone: what the machine has, the driver says when it is taken. */
  #check(held: Held, wanted: MemoryAmounts, total: MemoryAmounts): void {
    const reserved = this.reserved(held.device);
    for (const kind of KINDS) {
      const limit = this.#limits[kind]?.(total[kind]) ?? Infinity;
      const own = this.#held.has(held) ? held.amounts[kind] : 0;
      const available = limit - (reserved[kind] - own);
      if (wanted[kind] > own && wanted[kind] > available) throw new MemoryBudgetError(kind, wanted[kind], available, held.holder);
    }
  }

  /** Host memory is one for all GPUs. */
  #sum(device: number, counts: (held: Held) => boolean): MemoryAmounts {
    const sum = {gpu: 0, ram: 0};
    for (const held of this.#held) {
      if (!counts(held)) continue;
      if (held.device === device) sum.gpu += held.amounts.gpu;
      sum.ram += held.amounts.ram;
    }
    return sum;
  }
}

/** Of this thread. */
export const memoryBudget = new MemoryBudget();

/**
 * Limits what all models that this thread loads on GPUs may have together: weights, keys and values, and what steps compute
 * in. Placements take no more than is left of it; what still asks for more, as a model that comes back to the GPU, is refused
 * with a MemoryBudgetError. Give it before the first model is loaded: those that are there keep what they have. Workers
 * have budgets of their own. Throws OptionError.
 */
export function setMemoryBudget(options: MemoryBudgetOptions): void {
  memoryBudget.setLimits(options);
}
