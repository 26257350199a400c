/** How much memory of the host weights may pin. */

import {type HostMemory, hostMemory} from './host_memory.js';

/** Left to the rest of the process, and to others: pinned memory can neither be swapped out nor taken back. */
const KEPT_SHARE = 1 / 8;
const KEPT_MOST = 4 * 2 ** 30;

/**
 * Bytes. RLIMIT_MEMLOCK, often 64 KiB in containers, does not count: NVIDIA's kernel module pins pages itself, not in the
 * process's name.
 */
export function pinnableBytes({availableBytes}: Pick<HostMemory, 'availableBytes'> = hostMemory()): number {
  return Math.floor(availableBytes - Math.min(KEPT_MOST, availableBytes * KEPT_SHARE));
}
