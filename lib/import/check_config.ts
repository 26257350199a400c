/** What any checkpoint's config must satisfy: sizes in range that fit together. Its tensors are checked where the graph is built. */

import type {DecoderConfig} from './checkpoint.js';

/** Makes the error for a checkpoint that contradicts itself: FormatError with the reader's code and path. */
export type Fail = (problem: string) => Error;

/**
 * Beyond any model's; products of two of these are exact integers. The rotary tables have a row for each position and
 * are in no checkpoint: a few bytes of config must not make a file of any size.
 */
const LARGEST = {
  hiddenSize: 2 ** 26,
  intermediateSize: 2 ** 26,
  layerCount: 2 ** 16,
  headCount: 2 ** 16,
  kvHeadCount: 2 ** 16,
  headDim: 2 ** 12,
  vocabSize: 2 ** 26,
  maxPositionEmbeddings: 2 ** 22,
} as const satisfies Partial<Record<keyof DecoderConfig, number>>;

/** Throws what `fail` makes for sizes that are out of range or do not fit together. */
export function checkConfig(config: DecoderConfig, fail: Fail): void {
  for (const [name, largest] of Object.entries(LARGEST)) {
    const value = config[name as keyof typeof LARGEST];
    if (!Number.isInteger(value) || value < 1 || value > largest) throw fail(`${name} is ${value}, not an integer from 1 to ${largest}`);
  }
  if (config.headCount % config.kvHeadCount !== 0) {
    throw fail(`headCount ${config.headCount} is not a multiple of kvHeadCount ${config.kvHeadCount}`);
  }
  if (config.headDim % 2 !== 0) throw fail(`headDim ${config.headDim} is odd, rotary embeddings take pairs`);
  if (!(config.rmsNormEps > 0 && config.rmsNormEps < 1)) throw fail(`rmsNormEps is ${config.rmsNormEps}, not between 0 and 1`);
  if (!(config.ropeTheta > 0 && Number.isFinite(config.ropeTheta))) throw fail(`ropeTheta is ${config.ropeTheta}, not a positive number`);
  if (config.slidingWindow !== undefined && !(Number.isInteger(config.slidingWindow) && config.slidingWindow >= 1)) {
    throw fail(`slidingWindow is ${config.slidingWindow}, not a positive integer`);
  }
  checkRopeScaling(config, fail);
  const tokens = [
    ['bosTokenId', config.bosTokenId],
    ['padTokenId', config.padTokenId],
    ...config.eosTokenIds.map((id) => ['eosTokenIds', id]),
  ];
  for (const [name, id] of tokens) {
    if (id !== undefined && !(Number.isInteger(id) && Number(id) >= 0 && Number(id) < config.vocabSize)) {
      throw fail(`${name} has ${id}, not a token of the ${config.vocabSize} there are`);
    }
  }
}

function checkRopeScaling({ropeScaling, headDim}: DecoderConfig, fail: Fail): void {
  if (!ropeScaling) return;
  for (const [name, value] of Object.entries(ropeScaling)) {
    if (name === 'type') continue;
    const values = Array.isArray(value) ? value : [value];
    if (!values.every((each) => typeof each === 'number' && Number.isFinite(each) && each > 0)) {
      throw fail(`rope scaling's ${name} must be positive`);
    }
    if (Array.isArray(value) && value.length !== headDim / 2) {
      throw fail(`rope scaling's ${name} has ${value.length} values, not one for each of the ${headDim / 2} pairs of a head`);
    }
  }
}
