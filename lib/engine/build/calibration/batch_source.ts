/** Batches for the calibrator, one after the other. */

import type {NativeBatchTensor} from '../../../native/engine_addon.js';

export type Batch = Readonly<Record<string, NativeBatchTensor>>;

export interface BatchSource {
  /** Null after the last. Throws what the user's code throws, and OptionError for a batch that does not fit. */
  next(): Promise<Batch | null>;
  /** Ends the user's iterable, if it has not ended itself. Never throws. */
  close(): Promise<void>;
}
