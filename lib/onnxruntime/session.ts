/** Makes ONNX Runtime sessions, and says why when it refuses a model. */

import {dirname} from 'node:path';

import * as ort from 'onnxruntime-node';
import {FormatError, messageOf, UnsupportedError} from '../errors.js';
import type {ModelProto} from '../onnx/onnx_pb.js';
import {unknownOperators} from '../onnx/operators.js';

export interface SessionOptions {
  /** The model's file, which messages name; external data lies beside it. */
  path: string;
  /** What is loaded in place of the file. */
  bytes?: Uint8Array;
  /** For messages about what is refused. */
  proto: ModelProto;
  threads: number;
  /** Whether threads that wait for work keep their core. Default true. */
  spinning?: boolean;
  /**
   * What becomes of DequantizeLinear of weights. 'float': weights are dequantised once, when the model is loaded. Else ONNX
   * Runtime makes MatMulNBits of integers where it can, at this accuracy level, and dequantises others in each run. Default 4,
   * its own.
   */
  dequantized?: 'float' | 0 | 4;
  /** How the file begins that endProfiling() writes; none where nothing is profiled. */
  profile?: string;
}

/** Blocks the thread. Throws UnsupportedError for operators nobody knows, FormatError (ERR_ONNX) for anything else. */
export async function createSession({
  path,
  bytes,
  proto,
  threads,
  spinning = true,
  dequantized = 4,
  profile,
}: SessionOptions): Promise<ort.InferenceSession> {
  const options: ort.InferenceSession.SessionOptions = {
    executionProviders: ['cpu'],
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    graphOptimizationLevel: 'all',
    // What a run fails with is thrown; it need not stand in the user's stderr as well.
    logSeverityLevel: 4,
    ...(profile === undefined ? {} : {enableProfiling: true, profileFilePrefix: profile}),
    extra: {
      session: {
        intra_op: {allow_spinning: spinning ? '1' : '0'},
        ...(dequantized === 'float' ? {disable_quant_qdq: '1'} : {qdq_matmulnbits_accuracy_level: `${dequantized}`}),
        ...(bytes === undefined ? {} : {model_external_initializers_file_folder_path: dirname(path)}),
      },
    },
  };
  try {
    // Apart, as the overloads are.
    return await (bytes === undefined ? ort.InferenceSession.create(path, options) : ort.InferenceSession.create(bytes, options));
  } catch (cause) {
    const unknown = unknownOperators(proto);
    if (unknown.length > 0) throw new UnsupportedError(`${path}: ONNX Runtime does not know ${unknown.join(', ')}`);
    throw new FormatError('ERR_ONNX', path, `ONNX Runtime refused it: ${messageOf(cause)}`, undefined, {cause});
  }
}
