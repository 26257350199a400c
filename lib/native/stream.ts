/** A queue of GPU work. */

import {integer} from '../options.js';
import type {NativeStream} from './addon.js';
import type {DeviceMemory} from './device_memory.js';
import {translated, typed} from './errors.js';
import type {Event} from './event.js';
import {PinnedBuffer} from './pinned_buffer.js';

/** Where a copy starts on each side and how long it is, in bytes. Left out: both from 0, and the whole host memory. */
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

  /** Throws CudaError, and TensorrtNodeError (ERR_ADDON) for a range outside either memory. */
  copyToDevice(to: DeviceMemory, from: PinnedBuffer | ArrayBuffer | ArrayBufferView<ArrayBuffer>, range: CopyRange = {}): void {
    const host = hostMemory(from, range.fromOffset);
    const bytes = size('byteLength', range.byteLength ?? host.rest);
    translated(() => this.native.copyToDevice(to.native, size('toOffset', range.toOffset ?? 0), host.buffer, host.offset, bytes));
  }

  /** Throws as copyToDevice does. */
  copyToHost(to: PinnedBuffer | ArrayBuffer | ArrayBufferView<ArrayBuffer>, from: DeviceMemory, range: CopyRange = {}): void {
    const host = hostMemory(to, range.toOffset);
    const bytes = size('byteLength', range.byteLength ?? host.rest);
    translated(() => this.native.copyToHost(host.buffer, host.offset, from.native, size('fromOffset', range.fromOffset ?? 0), bytes));
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

function hostMemory(memory: PinnedBuffer | ArrayBuffer | ArrayBufferView<ArrayBuffer>, offset = 0) {
  size('offset', offset);
  const whole = memory instanceof PinnedBuffer ? memory.buffer : memory;
  if (whole instanceof ArrayBuffer) return {buffer: whole, offset, rest: Math.max(0, whole.byteLength - offset)};
  return {buffer: whole.buffer, offset: whole.byteOffset + offset, rest: Math.max(0, whole.byteLength - offset)};
}

function size(option: string, value: number): number {
  return integer(option, value, {min: 0, max: Number.MAX_SAFE_INTEGER});
}
