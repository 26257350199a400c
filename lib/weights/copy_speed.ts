/** How fast pinned host memory is copied to a GPU. */

import {throwIfAborted} from '../errors.js';
import type {Device} from '../native/device.js';

/** Long enough that its beginning does not count. */
const BLOCK_BYTES = 2 ** 26;
const COPIES = 8;

/** Bytes a second, the best of three goes. Throws CudaError, AbortError. */
export async function copySpeed(device: Device, signal?: AbortSignal): Promise<number> {
  using stream = device.createStream('copy speed');
  using from = device.allocatePinned(BLOCK_BYTES);
  using to = device.allocate(BLOCK_BYTES, stream);
  const [start, end] = [device.createEvent({timing: true}), device.createEvent({timing: true})];
  let best = 0;
  for (let go = 0; go < 3; go++) {
    throwIfAborted(signal);
    stream.record(start);
    for (let copy = 0; copy < COPIES; copy++) stream.copyToDevice(to, from);
    stream.record(end);
    await stream.done();
    // The resolution of events: no speed is infinite.
    const milliseconds = Math.max(end.millisecondsSince(start), 5e-4);
    best = Math.max(best, (1000 * COPIES * BLOCK_BYTES) / milliseconds);
  }
  return best;
}
