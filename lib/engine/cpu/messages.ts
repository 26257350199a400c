/** What a CPU engine and its threads say to each other. */

import type {MessagePort} from 'node:worker_threads';

import type {PlainError} from '../../onnxruntime/plain_error.js';
import type {RunGuard} from '../../onnxruntime/run_guard.js';
import type {TensorType} from '../tensor.js';

export interface ThreadData {
  modelPath: string;
  /** Of the model with its external data, where another one must not be taken for it. */
  sha256?: string;
  threads: number;
  /** Whether ONNX Runtime's threads keep their core while they wait: not where several engines' threads want it. */
  spinning: boolean;
  /** How the file begins that ONNX Runtime's profile is written to; none where it takes none. */
  profile?: string;
  guard: RunGuard;
  /** Messages go both ways here, as a blocked thread can still read from a port. */
  port: MessagePort;
  /** Counts the messages from the thread, for whoever blocks until the next. */
  sent: Int32Array<SharedArrayBuffer>;
}

/** Of an input or output, by the model. */
export interface ModelTensor {
  name: string;
  type: TensorType;
  /** -1 where dynamic. */
  dims: number[];
}

/** A tensor on its way: transferred, never copied. */
export interface TensorMessage {
  dims: readonly number[];
  buffer: ArrayBuffer;
}

export type ToThread =
  | {kind: 'run'; id: number; inputs: TensorMessage[]}
  /** Takes another model's weights; its inputs and outputs must be the same. */
  | {kind: 'refit'; id: number; modelPath: string}
  /** Writes the profile. */
  | {kind: 'endProfiling'; id: number}
  | {kind: 'close'};

export type FromThread =
  | {kind: 'ready'; version: string; inputs: ModelTensor[]; outputs: ModelTensor[]}
  | {kind: 'loadFailed'; error: PlainError}
  | {kind: 'done'; id: number; outputs: TensorMessage[]}
  | {kind: 'failed'; id: number; error: PlainError};
