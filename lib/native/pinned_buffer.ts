/** Host memory that the GPU copies from and to at full speed, as an ArrayBuffer. */

import {translated} from './errors.js';
import {requireAddon} from './load.js';

/**
 * A block of the device's pool of pinned memory. It returns there on dispose, or when neither this object nor
 * `buffer` is reachable any more; a copy still under way is waited for before the memory is used again.
 */
export class PinnedBuffer implements Disposable {
  /**
   * The memory itself, not a copy. Detached by dispose. It cannot be transferred to another thread; what its
   * `transfer()` makes can be and must not: the memory goes back to the pool when the thread it came from ends.
   */
  readonly buffer: ArrayBuffer;

  constructor(buffer: ArrayBuffer) {
    this.buffer = buffer;
  }

  /** 0 once disposed. */
  get byteLength(): number {
    return this.buffer.byteLength;
  }

  /** Detaches `buffer` and gives the memory back. More calls do nothing. */
  dispose(): void {
    translated(() => requireAddon().releasePinned(this.buffer));
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
