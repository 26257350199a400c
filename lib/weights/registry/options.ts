/** What a model registry and its calls are told: checked, and what holds where its user does not say. */

import {OptionError} from '../../errors.js';
import type {LoadOptions} from '../../generate/load.js';
import {abortSignal, integer, noOthers, number, object} from '../../options.js';
import {type ByteSize, byteSize} from '../byte_size.js';
import {MemoryMonitor} from '../monitor/memory_monitor.js';

export interface BudgetOptions {
  /** VRAM for all models together. Default: 90% of the GPU's. */
  gpu?: ByteSize;
  /** Memory of the host for all models together, pinned or not. Default: 80% of what the process may have. */
  ram?: ByteSize;
}

export interface ModelRegistryOptions extends BudgetOptions {
  /** GPU of all its models, as CUDA numbers them. Default 0. */
  device?: number;
  /** Milliseconds that a request waits for its model, loading included, at most. Default 60,000. */
  timeout?: number;
  /**
   * Milliseconds for which a model in use goes on taking new requests while another one waits for its room.
   * Default 500: less is fairer to who waits, more moves weights less often.
   */
  turn?: number;
  /**
   * Lets requests in: while memory is short they wait or are refused as the monitor's options say, and models that nobody
   * uses make room. Default: none.
   */
  monitor?: MemoryMonitor;
  /** Requests that may wait for a model; more are refused with ERR_BUSY. Default 1024. */
  maxWaiting?: number;
}

/** As of `loadModel`, with what it takes where that is known better than from the files' sizes. */
export interface RegisteredModelOptions extends Omit<LoadOptions, 'name' | 'device' | 'signal' | 'monitor'> {
  /** What the loaded model takes, until it has been loaded once. Default: as planned; on the CPU its files' sizes. */
  memory?: BudgetOptions;
}

export interface AcquireOptions {
  /** Ends the wait. */
  signal?: AbortSignal;
  /** Instead of the registry's. */
  timeout?: number;
}

export interface CheckedRegistryOptions {
  gpu: number | undefined;
  ram: number | undefined;
  device: number;
  timeout: number;
  turn: number;
  monitor: MemoryMonitor | undefined;
  maxWaiting: number;
}

/** Throws OptionError. */
export function checkRegistryOptions(options: ModelRegistryOptions): CheckedRegistryOptions {
  const {gpu, ram, device = 0, timeout = 60_000, turn = 500, monitor, maxWaiting = 1024} = object('options', options);
  if (monitor !== undefined && !(monitor instanceof MemoryMonitor)) {
    throw new OptionError('monitor', 'what createMemoryMonitor made', monitor);
  }
  noOthers('options', options, [
    'gpu',
    'ram',
    'device',
    'timeout',
    'turn',
    'monitor',
    'maxWaiting',
  ] satisfies (keyof ModelRegistryOptions)[]);
  return {
    ...checkBudget({gpu, ram}),
    device: integer('device', device, {min: 0, max: 1023}),
    timeout: milliseconds('timeout', timeout),
    turn: milliseconds('turn', turn),
    monitor,
    maxWaiting: integer('maxWaiting', maxWaiting, {min: 0}),
  };
}

/** Throws OptionError. `prefix` begins the names of the options. */
export function checkBudget({gpu, ram}: BudgetOptions, prefix = ''): {gpu: number | undefined; ram: number | undefined} {
  return {
    gpu: gpu === undefined ? undefined : byteSize(`${prefix}gpu`, gpu),
    ram: ram === undefined ? undefined : byteSize(`${prefix}ram`, ram),
  };
}

/** Throws OptionError. */
export function checkAcquireOptions(options: AcquireOptions): AcquireOptions {
  const {signal, timeout} = object('options', options);
  noOthers('options', options, ['signal', 'timeout'] satisfies (keyof AcquireOptions)[]);
  return {signal: abortSignal(signal), timeout: timeout === undefined ? undefined : milliseconds('timeout', timeout)};
}

/** What timers can wait for. */
function milliseconds(option: string, value: unknown): number {
  return number(option, value, {min: 0, max: 2 ** 31 - 1});
}
