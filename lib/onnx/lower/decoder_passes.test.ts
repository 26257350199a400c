/** Each pass on its own: what a decoder computes on ONNX Runtime before it and after. */

import * as ort from 'onnxruntime-node';
import {describe, expect, it} from 'vitest';

import {DecoderSession} from '../../../test/support/decoder_session.js';
import {type ExportOptions, exportedDecoder} from '../../../test/support/exported_decoder.js';
import {randomTensors, tinyConfig} from '../../../test/support/random_checkpoint.js';
import {serialize} from '../../backend/cpu/rewrite/serialize.js';
import {UnsupportedError} from '../../errors.js';
import {buildDecoder} from '../../import/graph/decoder.js';
import {DataType} from '../data_type.js';
import {float, GraphBuilder, int, ints} from '../graph_builder.js';
import type {Model} from '../model.js';
import {evaluate} from './evaluate.js';
import {foldConstants} from './fold_constants.js';
import {fuseActivation} from './fuse_activation.js';
import {fuseAttention} from './fuse_attention.js';
import {fuseRmsNorm} from './fuse_rms_norm.js';
import {fuseRotary} from './fuse_rotary.js';
import {splitSkipNorm} from './split_skip_norm.js';

const POSITIONS = 40;

const plain = (options: Partial<ExportOptions> = {}) => exportedDecoder({style: 'plain', ...options});
const countOf = (model: Model, opType: string) => model.graph.node.filter((node) => node.opType === opType).length;

/** Largest difference of a logit: a prompt, then tokens after it. */
async function difference(before: Model, after: Model, dims: readonly [number, number] = [2, 16]): Promise<number> {
  await using first = await DecoderSession.create(before, dims);
  await using second = await DecoderSession.create(after, dims);
  let largest = 0;
  for (const tokens of [[3, 14, 15, 9, 26, 5], [35], [8]]) {
    const [expected, got] = [await first.step(tokens), await second.step(tokens)];
    for (const [row, logits] of expected.entries()) {
      for (const [at, value] of logits.entries()) {
        const error = Math.abs(got[row]![at]! - value);
        // NaN must not pass for small.
        if (!(error <= largest)) largest = error;
      }
    }
  }
  return largest;
}

describe('splitSkipNorm', () => {
  it('gives the sum and the norm of it', async () => {
    const config = tinyConfig();
    const build = () => buildDecoder(config, randomTensors(config), {dtype: 'fp32'});
    const model = build();
    splitSkipNorm(model);
    expect(countOf(model, 'SkipSimplifiedLayerNormalization')).toBe(0);
    // After each attention and each MLP.
    expect(countOf(model, 'Add')).toBe(4);
    expect(await difference(build(), model, [config.kvHeadCount, config.headDim])).toBeLessThan(1e-5);
  });

  it('adds the bias too', async () => {
    const build = () => {
      const builder = GraphBuilder.create({name: 'skip', opsets: {'': 17, 'com.microsoft': 1}, irVersion: 8});
      for (const name of ['x', 'skip']) builder.input(name, DataType.FLOAT, [1, 2, 4]);
      builder.node(
        'SkipSimplifiedLayerNormalization',
        ['x', 'skip', builder.float32('weight', [1, 2, 3, 4]), builder.float32('bias', [5, 6, 7, 8])],
        {
          domain: 'com.microsoft',
          outputs: ['y', '', '', 'sum'],
          attributes: {epsilon: float(0.25)},
        },
      );
      for (const name of ['y', 'sum']) builder.output(name, DataType.FLOAT, [1, 2, 4]);
      return builder.build();
    };
    const tensor = (values: number[]) => new ort.Tensor('float32', Float32Array.from(values), [1, 2, 4]);
    const feeds = {x: tensor([1, -2, 3, 4, 0, 1, 5, -3]), skip: tensor([2, 2, -1, 0, 7, 1, 1, 1])};
    const expected = await run(build(), feeds);
    const model = build();
    splitSkipNorm(model);
    const got = await run(model, feeds);
    expect(countOf(model, 'SkipSimplifiedLayerNormalization')).toBe(0);
    for (const name of ['y', 'sum']) for (const [at, value] of got[name]!.entries()) expect(value).toBeCloseTo(expected[name]![at]!, 5);
  });
});

describe('fuseRmsNorm', () => {
  it('takes the norms of an export', async () => {
    const model = plain();
    expect(fuseRmsNorm(model)).toBe(5);
    expect(countOf(model, 'ReduceMean')).toBe(0);
    expect(await difference(plain(), model)).toBeLessThan(1e-5);
  });

  type Form = 'reciprocal' | 'square' | 'power' | 'divided' | 'cast';
  /** x / sqrt(mean(x²) + 0.1) * weight, as exporters write it. */
  const norm = (form: Form, change: {axis?: number; other?: boolean} = {}): Model => {
    const builder = GraphBuilder.create({name: 'norm', opsets: {'': 18, 'com.microsoft': 1}, irVersion: 8});
    const half = form === 'cast' ? DataType.FLOAT16 : DataType.FLOAT;
    const given = builder.input('x', DataType.FLOAT, [2, 3, 4]);
    const toFloat = (name: string) => builder.op('Cast', [name], {attributes: {to: int(DataType.FLOAT)}});
    const toHalf = (name: string) => builder.op('Cast', [name], {attributes: {to: int(half)}});
    const x = form === 'cast' ? toFloat(toHalf(given)) : given;
    const number = (value: number) => builder.float32('number', [value], []);
    const squared =
      form === 'square' ? builder.op('Mul', [x, x]) : builder.op('Pow', [change.other ? builder.op('Abs', [x]) : x, number(2)]);
    const mean = builder.op('ReduceMean', [squared, builder.int64('axes', [change.axis ?? -1])]);
    const shifted = builder.op('Add', [number(0.1), mean]);
    const inverse = () =>
      form === 'power' ? builder.op('Pow', [shifted, number(-0.5)]) : builder.op('Reciprocal', [builder.op('Sqrt', [shifted])]);
    const normed = form === 'divided' ? builder.op('Div', [x, builder.op('Sqrt', [shifted])]) : builder.op('Mul', [inverse(), x]);
    const weight = builder.float32('weight', [1, -2, 3, 0.5]);
    const made = form === 'cast' ? toFloat(builder.op('Mul', [toHalf(weight), toHalf(normed)])) : builder.op('Mul', [normed, weight]);
    builder.op('Identity', [made], {output: 'y'});
    builder.output('y', DataType.FLOAT, [2, 3, 4]);
    return builder.build();
  };
  const x = new ort.Tensor(
    'float32',
    Float32Array.from({length: 24}, (_, at) => Math.sin(at * 1.7) * 2),
    [2, 3, 4],
  );

  it.each<Form>(['reciprocal', 'square', 'power', 'divided', 'cast'])('%s', async (form) => {
    const expected = (await run(norm(form), {x})).y!;
    const model = norm(form);
    expect(fuseRmsNorm(model)).toBe(1);
    const got = (await run(model, {x})).y!;
    for (const [at, value] of got.entries()) expect(value).toBeCloseTo(expected[at]!, form === 'cast' ? 2 : 5);
  });

  it('leaves what is another norm', () => {
    expect(fuseRmsNorm(norm('divided', {axis: 1}))).toBe(0);
    expect(fuseRmsNorm(norm('divided', {other: true}))).toBe(0);
  });
});

describe('fuseActivation', () => {
  it.each([
    ['silu', 'QuickGelu'],
    ['gelu_erf', 'Gelu'],
    ['gelu_tanh', 'FastGelu'],
  ] as const)('%s', async (activation, operator) => {
    const model = plain({activation});
    expect(fuseActivation(model)).toBe(2);
    expect(countOf(model, operator)).toBe(2);
    expect(await difference(plain({activation}), model)).toBeLessThan(1e-5);
  });
});

describe('fuseRotary', () => {
  it.each<Partial<ExportOptions>>([{}, {headSize: 32, rotarySize: 16}])('%o', async (options) => {
    const model = plain(options);
    // Queries and keys of two layers.
    expect(await fuseRotary(model, POSITIONS)).toBe(4);
    expect(countOf(model, 'Cos')).toBe(0);
    expect(model.graph.initializer.filter(({name}) => name.endsWith('/table'))).toHaveLength(2);
    expect(await difference(plain(options), model, [2, options.headSize ?? 16])).toBeLessThan(1e-5);
  });
});

describe('fuseAttention', () => {
  it.each<Partial<ExportOptions>>([{}, {kvHeads: 4, rootScale: true}, {window: 4}, {window: [3, 0]}, {whereMask: true, softcap: 2}])(
    '%o',
    async (options) => {
      const model = plain(options);
      expect(await fuseAttention(model, POSITIONS)).toBe(2);
      expect(countOf(model, 'Softmax')).toBe(0);
      expect(await difference(plain(options), model, [options.kvHeads ?? 2, 16])).toBeLessThan(1e-5);
    },
  );

  it.each<[string, (model: Model) => void]>([
    ['later tokens are seen', (model) => (model.graph.node.find(({opType}) => opType === 'Greater')!.opType = 'Less')],
    ['nothing is hidden', (model) => (model.graph.node.find(({opType}) => opType === 'Where')!.input[1] = 'nothing')],
  ])('refuses masks by which %s', async (_, change) => {
    const model = plain();
    change(model);
    await expect(fuseAttention(model, POSITIONS)).rejects.toThrow(UnsupportedError);
  });
});

describe('foldConstants', () => {
  it('computes what depends on no input', async () => {
    const model = plain({shiftedNorms: true});
    // The norms' weights, each with one added.
    expect(await foldConstants(model)).toBe(5);
    expect(await difference(plain({shiftedNorms: true}), model)).toBeLessThan(1e-6);
    expect(fuseRmsNorm(model)).toBe(5);
    expect(await foldConstants(model)).toBe(0);
  });

  it('leaves the arrangement of weights to their readers', async () => {
    const builder = GraphBuilder.create({name: 'transposed', opsets: {'': 17}, irVersion: 8});
    const x = builder.input('x', DataType.FLOAT, ['rows', 16]);
    const weight = builder.float32(
      'weight',
      Array.from({length: 16 * 16}, (_, at) => at),
      [16, 16],
    );
    builder.op('MatMul', [x, builder.op('Transpose', [weight], {attributes: {perm: ints([1, 0])}})], {output: 'y'});
    builder.output('y', DataType.FLOAT, ['rows', 16]);
    expect(await foldConstants(builder.build())).toBe(0);
  });
});

it('evaluate runs one sequence of the lengths given', async () => {
  const builder = GraphBuilder.create({name: 'lengths', opsets: {'': 17}, irVersion: 8});
  builder.input('input_ids', DataType.INT64, ['batch', 'tokens']);
  builder.input('position_ids', DataType.INT64, ['batch', 'tokens']);
  builder.input('attention_mask', DataType.INT64, ['batch', 'total']);
  builder.input('past_key_values.0.key', DataType.FLOAT, ['batch', 3, 'past', 8]);
  const shape = builder.op('Shape', ['past_key_values.0.key']);
  const sum = builder.op('ReduceSum', ['attention_mask']);
  builder.op('Add', ['position_ids', sum], {output: 'shifted'});
  const values = await evaluate(builder.model, [shape, sum, 'shifted'], {past: 7, tokens: 2});
  expect([...values.values()].map(({data}) => [...(data as BigInt64Array)])).toEqual([[1n, 3n, 7n, 8n], [9n], [16n, 17n]]);
});

async function run(model: Model, feeds: Record<string, ort.Tensor>): Promise<Record<string, Float32Array>> {
  const session = await ort.InferenceSession.create(await serialize(model), {logSeverityLevel: 3, intraOpNumThreads: 1});
  try {
    const results = await session.run(feeds);
    return Object.fromEntries(Object.entries(results).map(([name, {data}]) => [name, data as Float32Array]));
  } finally {
    await session.release();
  }
}
