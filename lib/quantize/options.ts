/** What `quantizeModel` is asked for, checked and with its defaults. */

import {availableParallelism} from 'node:os';

import {OptionError} from '../errors.js';
import {abortSignal, boolean, callback, integer, noOthers, number, object, oneOf} from '../options.js';
import type {OnProgress} from '../progress.js';

export interface QuantizeOptions {
  /** Bits of a weight. Default 4. */
  bits?: 4 | 8;
  /**
   * Weights of a row that share a scale; 'channel': all of them, with 8 bits. Smaller blocks are more exact and take more
   * room: at 4 bits 4.5 a weight with blocks of 32, 4.25 with 64, 4.125 with 128. Default 32.
   */
  block?: 32 | 64 | 128 | 'channel';
  /** 'int', the default, or 'fp8' (E4M3), which is 8 bits by channel. */
  type?: 'int' | 'fp8';
  /**
   * 'rtn', the default: each block is rounded on its own, and no text is needed. 'gptq': errors are made up for by the
   * weights that come after, as a calibration text's activations tell (Frantar et al. 2022). 'awq': channels with large
   * activations are scaled up before they are rounded (Lin et al. 2023). 'awq+gptq': scaled up, and then as 'gptq'. All three
   * are for language models.
   */
  method?: 'rtn' | 'awq' | 'gptq' | 'awq+gptq';
  /** Whether zero is the middle code, or has a code of each block's own. Default true at 8 bits, false at 4. */
  symmetric?: boolean;
  /**
   * Layers that stay as they are: patterns of module names as 'lm_head' or '*.down_proj', where `*` is any text. A pattern
   * that fits nothing is an error.
   */
  keep?: readonly string[];
  /**
   * Layers that have twice the bits: 8 with 4 bits; with 8 they stay as they are. Patterns as those of `keep`, or true for those
   * known to lose most, by the names that Hugging Face's Llamas have: attention's products, and about half of the `down_proj`.
   * Default false. Logits have `headBits`.
   */
  sensitive?: boolean | readonly string[];
  /** Bits of the product that makes the logits: 4, 8, or 16 for as it is. Default 8. A table that is also the embedding is one with it. */
  headBits?: 4 | 8 | 16;
  /** Bits of an embedding of its own, which is read by the row and takes no time. Default 16, as it is. */
  embeddingBits?: 4 | 8 | 16;
  /** Of a checkpoint: what the model computes in, and the type of what stays dense. Default as `importModel`'s. */
  dtype?: 'fp16' | 'fp32';
  /** For all methods but 'rtn': a text file, or .jsonl with a `text` or `messages` a line. Default: some pages of English in the package. */
  calibration?: string;
  /** Most sequences taken of the calibration text. Default 128. */
  samples?: number;
  /** Tokens of each. Default 512. */
  sequenceLength?: number;
  /** For 'gptq': added to the diagonal of the Hessian, as a part of its mean. Default 0.01. */
  damping?: number;
  /** For 'gptq': columns with the largest activations first, each block with the scale that it began with. Default false. */
  actOrder?: boolean;
  /** For 'gptq': the GPU, as CUDA numbers them, that Hessians are gathered and solved on, or 'cpu'. Default: the first, if there is one. */
  device?: number | 'cpu';
  /** Default: as many as the process may use at once. */
  threads?: number;
  /** Replace `out` if an import or a quantisation made it. Default false. */
  overwrite?: boolean;
  signal?: AbortSignal;
  /** Phases 'calibrate', in steps, and 'quantize', in bytes of the source's weights; `detail` names the layer. */
  onProgress?: OnProgress;
}

type Defaulted = 'bits' | 'block' | 'type' | 'method' | 'symmetric' | 'keep' | 'sensitive' | 'headBits' | 'embeddingBits' | 'samples';
export type CheckedOptions = QuantizeOptions &
  Required<Pick<QuantizeOptions, Defaulted | 'sequenceLength' | 'damping' | 'actOrder' | 'threads' | 'overwrite'>>;

const NAMES = [
  ...['bits', 'block', 'type', 'method', 'symmetric', 'keep', 'sensitive', 'headBits', 'embeddingBits'],
  ...['dtype', 'calibration', 'samples', 'sequenceLength', 'damping', 'actOrder', 'device', 'threads', 'overwrite', 'signal', 'onProgress'],
];

/** Throws OptionError. */
export function checkOptions(source: unknown, out: unknown, options: QuantizeOptions): CheckedOptions {
  for (const [name, value] of Object.entries({source, out, calibration: object('options', options).calibration ?? 'default'})) {
    if (typeof value !== 'string' || value === '' || value.includes('\0')) throw new OptionError(name, 'a path', value);
  }
  noOthers('options', options, NAMES);
  const type = oneOf('type', options.type ?? 'int', ['int', 'fp8']);
  const bits = oneNumber('bits', options.bits ?? (type === 'fp8' ? 8 : 4), [4, 8]);
  if (type === 'fp8' && bits !== 8) throw new OptionError('bits', "8 with type 'fp8'", bits);
  const block = options.block ?? (type === 'fp8' ? 'channel' : 32);
  if (block !== 'channel') oneNumber('block', block, [32, 64, 128], "32, 64, 128 or 'channel'");
  if (type === 'fp8' && block !== 'channel') throw new OptionError('block', "'channel' with type 'fp8'", block);
  if (block === 'channel' && bits === 4) throw new OptionError('block', '32, 64 or 128 with 4 bits', block);
  const method = oneOf('method', options.method ?? 'rtn', ['rtn', 'awq', 'gptq', 'awq+gptq']);
  const symmetric = boolean('symmetric', options.symmetric ?? bits === 8);
  if (block === 'channel' && !symmetric) throw new OptionError('symmetric', "true with block 'channel'", symmetric);
  const sensitive = sensitiveOf(options.sensitive ?? false);
  if (options.dtype !== undefined) oneOf('dtype', options.dtype, ['fp16', 'fp32']);
  for (const name of ['calibration', 'samples', 'sequenceLength', 'damping', 'actOrder'] as const) {
    const gptqOnly = name === 'damping' || name === 'actOrder';
    if (options[name] === undefined || method.includes('gptq') || (method === 'awq' && !gptqOnly)) continue;
    throw new OptionError(name, `left out with method '${method}'`, options[name]);
  }
  if (options.device !== undefined && options.device !== 'cpu') integer('device', options.device, {min: 0, max: 1023});
  abortSignal(options.signal);
  if (options.onProgress !== undefined) callback('onProgress', options.onProgress);
  return {
    ...options,
    bits,
    block,
    type,
    method,
    symmetric,
    keep: patterns('keep', options.keep ?? [], 'a list of patterns'),
    sensitive,
    headBits: oneNumber('headBits', options.headBits ?? 8, [4, 8, 16]),
    embeddingBits: oneNumber('embeddingBits', options.embeddingBits ?? 16, [4, 8, 16]),
    samples: integer('samples', options.samples ?? 128, {min: 1}),
    sequenceLength: integer('sequenceLength', options.sequenceLength ?? 512, {min: 8}),
    damping: number('damping', options.damping ?? 0.01, {min: 1e-6, max: 1}),
    actOrder: boolean('actOrder', options.actOrder ?? false),
    threads: integer('threads', options.threads ?? availableParallelism(), {min: 1, max: 1024}),
    overwrite: boolean('overwrite', options.overwrite ?? false),
  };
}

function oneNumber<const T extends number>(option: string, value: unknown, allowed: readonly T[], said = allowed.join(' or ')): T {
  const found = allowed.find((each) => each === value);
  if (found !== undefined) return found;
  throw new OptionError(option, said, value);
}

function sensitiveOf(sensitive: unknown): boolean | readonly string[] {
  if (typeof sensitive === 'boolean') return sensitive;
  return patterns('sensitive', sensitive, 'true, false or a list of patterns');
}

function patterns(option: string, value: unknown, said: string): readonly string[] {
  if (Array.isArray(value) && value.every((each) => typeof each === 'string' && each !== '')) return value;
  throw new OptionError(option, said, value);
}
