/** What the builder process and its parent tell each other. */

import type {
  NativeBatchTensor,
  NativeBuildListener,
  NativeBuildRequest,
  NativeBuildResult,
  NativeEngineInfo,
} from '../../native/engine_addon.js';

export type ToBuilder =
  | {type: 'build'; request: NativeBuildRequest; mergeTimingsInto?: string}
  | {type: 'batch'; batch: Readonly<Record<string, NativeBatchTensor>> | null}
  | {type: 'cancel'};

export type FromBuilder =
  | {type: 'progress'; event: ProgressEvent}
  | {type: 'batch-wanted'}
  | {type: 'built'; result: NativeBuildResult; info: NativeEngineInfo; timingsProblem?: string}
  | {type: 'failed'; error: PlainError};

export type ProgressEvent = Parameters<NativeBuildListener['progress']>[0];

/** An error of the addon, with the fields that structured cloning would drop. */
export interface PlainError {
  message: string;
  code?: string;
  call?: string;
  result?: string;
  hint?: string;
}
