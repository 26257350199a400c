/** A GPU: its memory, and what is made on it. */

import {constants} from 'node:buffer';

import {integer} from '../options.js';
import type {NativeDevice, PoolStats} from './addon.js';
import {DeviceMemory} from './device_memory.js';
import {translated} from './errors.js';
import {Event} from './event.js';
import {requireDriver} from './find_device.js';
import {addonTooOld, requireAddon} from './load.js';
import {PinnedBuffer} from './pinned_buffer.js';
import {Stream} from './stream.js';

/** One GPU of this process. All Devices of an ordinal share its context and pools, in every thread. */
export class Device {
  readonly #native: NativeDevice;

  private constructor(
    readonly ordinal: number,
    device: NativeDevice,
  ) {
    this.#native = device;
  }

  /**
   * Opens a GPU; `ordinal` counts from 0, as CUDA_VISIBLE_DEVICES leaves them.
   * Throws TensorrtNodeError (ERR_ADDON) without the addon, CudaError without a driver or such a device.
   */
  static open(ordinal = 0): Device {
    integer('ordinal', ordinal, {min: 0, max: 1023});
    const addon = requireAddon();
    requireDriver(addon);
    return new Device(
      ordinal,
      translated(() => new addon.Device(ordinal)),
    );
  }

  /** Memory of the whole card in bytes, other processes included. Throws CudaError. */
  memory(): {freeBytes: number; totalBytes: number} {
    return translated(() => this.#native.memory());
  }

  /**
   * Pinned host memory of `bytes` bytes, holding whatever it held. Throws CudaError (ERR_OUT_OF_MEMORY), and
   * TensorrtNodeError (ERR_ADDON) where the runtime allows no ArrayBuffer over foreign memory, as Electron.
   */
  allocatePinned(bytes: number): PinnedBuffer {
    integer('bytes', bytes, {min: 1, max: constants.MAX_LENGTH});
    return new PinnedBuffer(translated(() => this.#native.allocatePinned(bytes)));
  }

  pinnedStats(): PoolStats {
    return translated(() => this.#native.pinnedStats());
  }

  /** Unpins idle memory until at most `keepBytes` of it are left; returns the bytes freed. */
  trimPinned(keepBytes = 0): number {
    return this.#native.trimPinned(integer('keepBytes', keepBytes, {min: 0, max: Number.MAX_SAFE_INTEGER}));
  }

  createStream(name: string): Stream {
    return new Stream(translated(() => new (requireAddon().Stream)(this.#native, name)));
  }

  /** `timing`: for millisecondsSince. */
  createEvent({timing = false}: {timing?: boolean} = {}): Event {
    return new Event(translated(() => new (requireAddon().Event)(this.#native, timing)));
  }

  /** Device memory of `bytes` bytes for work on `stream`. Throws CudaError (ERR_OUT_OF_MEMORY). */
  allocate(bytes: number, stream: Stream): DeviceMemory {
    integer('bytes', bytes, {min: 1, max: Number.MAX_SAFE_INTEGER});
    return new DeviceMemory(
      translated(() => new (requireAddon().DeviceMemory)(this.#native, bytes, stream.native)),
      bytes,
    );
  }

  deviceStats(): PoolStats {
    return translated(() => this.#native.deviceStats());
  }

  /** Gives idle device memory back to the driver until at most `keepBytes` of it are left; returns the bytes freed. */
  trimDevice(keepBytes = 0): number {
    return this.#native.trimDevice(integer('keepBytes', keepBytes, {min: 0, max: Number.MAX_SAFE_INTEGER}));
  }

  /**
   * Bytes a second that products of one row, as decode steps have them, read of `bytes` of weights. Takes that memory and
   * blocks for some milliseconds. Throws CudaError (ERR_OUT_OF_MEMORY), TensorrtNodeError (ERR_ADDON) for an addon too old.
   */
  weightReadsPerSecond(bytes: number): number {
    integer('bytes', bytes, {min: 1, max: Number.MAX_SAFE_INTEGER});
    return translated(() => {
      if (this.#native.weightReadsPerSecond === undefined) throw addonTooOld();
      return this.#native.weightReadsPerSecond(bytes);
    });
  }
}
