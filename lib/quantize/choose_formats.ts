/** Which weights are quantised, and to what. */

import {OptionError, UnsupportedError} from '../errors.js';
import {DataType} from '../onnx/data_type.js';
import type {Format} from './native.js';
import type {CheckedOptions} from './options.js';
import {sensitiveLayers} from './sensitive_layers.js';
import type {Weight} from './weights.js';

/** Formats of the weights that are quantised; the others stay as they are. Throws OptionError for a pattern that fits none. */
export function chooseFormats(weights: readonly Weight[], options: CheckedOptions): Map<Weight, Format> {
  const kept = fitting(weights, 'keep', options.keep);
  const sensitive = sensitiveWeights(weights, options.sensitive);
  const formats = new Map<Weight, Format>();
  for (const weight of weights) {
    const format = kept.has(weight) ? undefined : formatOf(weight, sensitive.has(weight) ? moreBits(options.bits) : options.bits, options);
    if (format) formats.set(weight, format);
  }
  return formats;
}

/** Of the sensitive among those of so many: 16 is as they are. */
function moreBits(bits: 4 | 8): 8 | 16 {
  return bits === 4 ? 8 : 16;
}

function formatOf(weight: Weight, productBits: 4 | 8 | 16, options: CheckedOptions): Format | undefined {
  const {inner, outer} = weight.reader;
  const rows = weight.uses.some(({kind}) => kind === 'rows');
  const product = weight.uses.some(({kind}) => kind === 'product');
  const bits = weight.head ? options.headBits : product ? productBits : options.embeddingBits;
  // A few numbers are no matrix that time or memory goes into.
  if (bits === 16 || inner < SMALLEST_BLOCK || outer < SMALLEST_BLOCK) return undefined;
  if (weight.type === DataType.BFLOAT16)
    throw new UnsupportedError(`${weight.name}: weights in bfloat16 of an ONNX model`, 'quantise the checkpoint it was made of');
  const scales = weight.type === DataType.FLOAT16 ? 'float16' : 'float32';
  if (options.block === 'channel' && bits === 8 && !rows) {
    const kind = options.type === 'fp8' ? 'float8Rows' : 'int8Rows';
    return {kind, bits, block: inner, scales, search: false};
  }
  // A table that rows are taken of has no form by channel.
  const asked = options.block === 'channel' ? 32 : options.block;
  const block = blockOf(asked, inner, rows);
  if (block === undefined) return undefined;
  const symmetric = bits === options.bits ? options.symmetric : bits === 8;
  return {kind: symmetric ? 'symmetric' : 'zeroPoints', bits, block, scales, search: true};
}

const SMALLEST_BLOCK = 16;

/** As asked for, or smaller where rows are short; whole blocks where GatherBlockQuantized wants them so. */
function blockOf(asked: number, inner: number, whole: boolean): number | undefined {
  let block = asked;
  while (block > SMALLEST_BLOCK && (block > inner || (whole && inner % block !== 0))) block /= 2;
  return whole && inner % block !== 0 ? undefined : block;
}

/** Throws OptionError where the model has no layers that are known to be such. */
function sensitiveWeights(weights: readonly Weight[], sensitive: CheckedOptions['sensitive']): Set<Weight> {
  if (sensitive === false) return new Set();
  if (sensitive !== true) return fitting(weights, 'sensitive', sensitive);
  const found = sensitiveLayers(weights);
  if (found.length === 0)
    throw new OptionError('sensitive', `patterns where layers have names of their own, such as ${examples(weights)}`, true);
  return new Set(found);
}

function fitting(weights: readonly Weight[], option: string, patterns: readonly string[]): Set<Weight> {
  const all = new Set<Weight>();
  for (const pattern of patterns) {
    const expression = expressionOf(pattern);
    const found = weights.filter(({name}) => namesOf(name).some((each) => expression.test(each)));
    if (found.length === 0) throw new OptionError(option, `patterns of layers there are, such as ${examples(weights)}`, pattern);
    for (const weight of found) all.add(weight);
  }
  return all;
}

function expressionOf(pattern: string): RegExp {
  const parts = pattern.split('*').map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`^${parts.join('.*')}$`);
}

/** Its own, and of a product that is several packed into one theirs. */
function namesOf(name: string): string[] {
  const packed = {qkv_proj: ['q_proj', 'k_proj', 'v_proj'], gate_up_proj: ['gate_proj', 'up_proj']};
  const own = Object.entries(packed).find(([suffix]) => name.endsWith(`.${suffix}`));
  return own === undefined ? [name] : [name, ...own[1].map((part) => name.slice(0, -own[0].length) + part)];
}

function examples(weights: readonly Weight[]): string {
  const names = weights.map(({name}) => `'${name}'`);
  const shown = [...names.slice(0, 4), ...names.slice(4).slice(-1)];
  return shown.join(', ') || 'none in this model';
}
