/** A request's sampling in the addon's terms. */

import {OptionError} from '../../errors.js';
import type {NativeDecoderSampling} from '../../native/decoder_addon.js';
import type {BackendRequest} from '../backend.js';

/** Likeliest tokens that the sampling kernel reports. */
const MOST_LOGPROBS = 20;

/** Throws OptionError for more logprobs than there are. */
export function nativeSampling({sampling, stopTokens, logprobs}: BackendRequest): NativeDecoderSampling {
  if (logprobs !== undefined && logprobs > MOST_LOGPROBS) {
    throw new OptionError('logprobs', `at most ${MOST_LOGPROBS} on TensorRT`, logprobs);
  }
  const {logitBias, ...parameters} = sampling;
  return {
    ...parameters,
    biasTokens: Int32Array.from(logitBias.keys()),
    biasValues: Float32Array.from(logitBias.values()),
    stopTokens: Int32Array.from(stopTokens),
    logprobs: logprobs ?? -1,
  };
}
