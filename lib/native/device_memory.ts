/** Memory of a GPU. */

import type {NativeDeviceMemory} from './addon.js';

/** A block of the device's pool. It returns there on dispose, or when it is collected, behind the work queued on it. */
export class DeviceMemory implements Disposable {
  constructor(
    /** @internal */
    readonly native: NativeDeviceMemory,
    readonly byteLength: number,
  ) {}

  dispose(): void {
    this.native.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
