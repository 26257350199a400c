/** A lowered decoder of two layers with heads that there are kernels for, without a file. */

import {lowerDecoder} from '../../lib/decoder/lower_decoder.js';
import type {LoweredDecoder} from '../../lib/decoder/lowered_decoder.js';
import {buildDecoder} from '../../lib/import/graph/decoder.js';
import {randomTensors, tinyConfig} from './random_checkpoint.js';

export function tinyLoweredDecoder(): Promise<LoweredDecoder> {
  const config = tinyConfig({headDim: 64});
  return lowerDecoder(buildDecoder(config, randomTensors(config), {dtype: 'fp16'}), {type: 'float16'});
}
