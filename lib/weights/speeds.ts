/** How fast weights move on a machine. */

/** Bytes a second. */
export interface Speeds {
  /** Of weights that a decode step's products read, from the GPU's own memory. */
  weightReads: number;
  /** Of copies from pinned host memory. */
  hostToDevice: number;
  /** Of reads past the page cache, several at once. */
  disk: number;
}

/** Where a figure comes from. */
export type SpeedSource = 'measured' | 'assumed';

/** Of an H100 with a PCIe 5.0 link, as measured on one, and of an NVMe disk of the day. */
export const ASSUMED_SPEEDS: Speeds = {weightReads: 3.05e12, hostToDevice: 52e9, disk: 3e9};
