/** A mark in a stream. */

import type {NativeEvent} from './addon.js';
import {translated} from './errors.js';

/** Recorded in one stream, waited for by others; two with `timing` tell the time between them. */
export class Event implements Disposable {
  constructor(
    /** @internal */
    readonly native: NativeEvent,
  ) {}

  /** GPU time between two events that have passed, in milliseconds; resolution about 0.5 microseconds. Throws CudaError. */
  millisecondsSince(start: Event): number {
    return translated(() => this.native.millisecondsSince(start.native));
  }

  dispose(): void {
    this.native.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
