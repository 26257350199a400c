/** What the CPU backend and its worker thread say to each other. */

import type {PlainError} from '../../onnxruntime/plain_error.js';
import type {RunGuard} from '../../onnxruntime/run_guard.js';
import type {BackendFinish, BackendRequest, BackendTimings, TokenEvent} from '../backend.js';
import type {KvCacheType} from '../kv_cache_type.js';

export interface WorkerOptions {
  modelPath: string;
  threads: number;
  accuracyLevel: 0 | 4;
  kvCacheType?: KvCacheType;
  maxContext: number;
  maxBatch: number;
  prefillChunk: number;
  guard: RunGuard;
}

export type ToWorker =
  | {kind: 'submit'; id: number; request: BackendRequest}
  | {kind: 'abort'; id: number}
  | {kind: 'createSequence'; sequence: number}
  | {kind: 'forkSequence'; sequence: number; copy: number}
  | {kind: 'disposeSequence'; sequence: number}
  | {kind: 'score'; id: number; tokens: Uint32Array}
  | {kind: 'close'};

export type FromWorker =
  | {kind: 'ready'; vocabSize: number; version: string}
  | {kind: 'tokens'; id: number; batch: TokenEvent[]}
  | {kind: 'finished'; id: number; reason: BackendFinish; timings: BackendTimings}
  | {kind: 'failed'; id: number; error: PlainError}
  | {kind: 'scored'; id: number; logits: Float32Array}
  | {kind: 'loadFailed'; error: PlainError};
