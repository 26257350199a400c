/** A queue of GPU work. */

import {isArrayBuffer} from 'node:util/types';

import {OptionError, TensorrtNodeError} from '../errors.js';
import {integer} from '../options.js';
import type {NativeStream} from './addon.js';
import type {DeviceMemory} from './device_memory.js';
import {translated, typed} from './errors.js';
import type {Event} from './event.js';
import {PinnedBuffer} from './pinned_buffer.js';

/** Pinned memory, or any other that JavaScript has and does not share between threads. */
export type HostMemory = PinnedBuffer | ArrayBuffer | ArrayBufferView<ArrayBuffer>;

/** Where a copy starts on each side and how long it is, in bytes. Left out: both from 0, and the rest of the host memory. */
export interface CopyRange {
  toOffset?: number;
  fromOffset?: number;
  byteLength?: number;
}

/**
 * Copies are queued and run in order. Host memory that is pinned is copied while JavaScript goes on: leave it alone
 * until `done`. Any other is copied before the call returns, at a fraction of the speed.
 */
export class Stream implements Disposable {
  constructor(
    /** @internal */
    readonly native: NativeStream,
  ) {}

  /** Throws CudaError, OptionError for a range outside either memory or for shared memory, and ERR_DISPOSED. */
  copyToDevice(to: DeviceMemory, from: HostMemory, {toOffset = 0, fromOffset = 0, byteLength}: CopyRange = {}): void {
    const host = hostMemory('from', from);
    const bytes = rangeWithin(host, 'fromOffset', fromOffset, to, 'toOffset', toOffset, byteLength);
    translated(() => this.native.copyToDevice(to.native, toOffset, host.buffer, host.start + fromOffset, bytes));
  }

  /** Throws as copyToDevice does. */
  copyToHost(to: HostMemory, from: DeviceMemory, {toOffset = 0, fromOffset = 0, byteLength}: CopyRange = {}): void {
    const host = hostMemory('to', to);
    const bytes = rangeWithin(host, 'toOffset', toOffset, from, 'fromOffset', fromOffset, byteLength);
    translated(() => this.native.copyToHost(host.buffer, host.start + toOffset, from.native, fromOffset, bytes));
  }

  /** Marks the end of the work queued so far. */
  record(event: Event): void {
    translated(() => this.native.record(event.native));
  }

  /** Work queued after this waits for `event`; JavaScript does not. */
  wait(event: Event): void {
    translated(() => this.native.wait(event.native));
  }

  /** Resolves when the work queued so far is done; rejects with the CudaError it failed with. */
  async done(): Promise<void> {
    try {
      await this.native.done();
    } catch (error) {
      throw typed(error);
    }
  }

  /** Work queued so far still runs. */
  dispose(): void {
    this.native.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

function hostMemory(option: string, memory: HostMemory): {buffer: ArrayBuffer; start: number; byteLength: number} {
  if (memory instanceof PinnedBuffer) {
    if (memory.byteLength === 0) throw new TensorrtNodeError('ERR_DISPOSED', 'the pinned buffer is disposed');
    return {buffer: memory.buffer, start: 0, byteLength: memory.byteLength};
  }
  // Not with instanceof: the buffer may be of another realm, as under test runners.
  if (isArrayBuffer(memory)) return {buffer: memory, start: 0, byteLength: memory.byteLength};
  if (!ArrayBuffer.isView(memory) || !isArrayBuffer(memory.buffer)) {
    throw new OptionError(option, 'a PinnedBuffer, an ArrayBuffer or a view of one', memory);
  }
  return {buffer: memory.buffer, start: memory.byteOffset, byteLength: memory.byteLength};
}

/** Checks a copy's offsets and returns its length. */
function rangeWithin(
  host: {byteLength: number},
  hostOption: string,
  hostOffset: number,
  device: DeviceMemory,
  deviceOption: string,
  deviceOffset: number,
  byteLength: number | undefined,
): number {
  integer(hostOption, hostOffset, {min: 0, max: host.byteLength});
  integer(deviceOption, deviceOffset, {min: 0, max: device.byteLength});
  const rest = host.byteLength - hostOffset;
  return integer('byteLength', byteLength ?? rest, {min: 0, max: Math.min(rest, device.byteLength - deviceOffset)});
}
