import * as ort from 'onnxruntime-node';
import {describe, expect, it} from 'vitest';

import {DecoderSession} from '../../../../test/support/decoder_session.js';
import {type ExportOptions, exportedDecoder} from '../../../../test/support/exported_decoder.js';
import {halfBits, halfTensor} from '../../../../test/support/half_tensor.js';
import {plainDecoder} from '../../../../test/support/plain_decoder.js';
import {randomTensors, tinyConfig} from '../../../../test/support/random_checkpoint.js';
import {FLOAT8, roundedVector} from '../../../../test/support/rounded_vector.js';
import type {DecoderConfig} from '../../../import/checkpoint.js';
import {buildDecoder} from '../../../import/graph/decoder.js';
import {float16ToFloat32, float32ToFloat16} from '../../../import/numeric/float16.js';
import {DataType} from '../../../onnx/data_type.js';
import {GraphBuilder, int} from '../../../onnx/graph_builder.js';
import type {Model} from '../../../onnx/model.js';
import {uniform} from '../random.js';
import {KvRounding} from './kv_rounding.js';
import {changeCache, roundCache} from './round_cache.js';
import {serialize} from './serialize.js';

const TYPES = ['fp8', 'int8'] as const;
const SIZE = 64;

/** Vectors of ordinary numbers, of codes and what lies between two of them, of next to nothing, and of zeros. */
function vectors(): Float32Array {
  const rows: number[][] = [];
  for (let row = 0; row < 12; row++) {
    rows.push(Array.from({length: SIZE}, (_, at) => (uniform(3, row * SIZE + at) - 0.5) * 4 ** (row - 6)));
  }
  // The first says what the others are relative to, exactly.
  const between = FLOAT8.slice(0, -1).map((code, at) => (code + FLOAT8[at + 1]!) / 2);
  for (let first = 0; first < between.length; first += SIZE - 1) {
    const some = between.slice(first, first + SIZE - 1);
    rows.push([15.5, ...some, ...Array<number>(SIZE - 1 - some.length).fill(0)].map((each, at) => (at % 2 === 0 ? each : -each)));
  }
  rows.push(Array.from({length: SIZE}, (_, at) => (at === 0 ? -127 : at - 31.5)));
  rows.push(Array.from({length: SIZE}, (_, at) => at * 2 ** -80));
  rows.push(Array<number>(SIZE).fill(0));
  return Float32Array.from(rows.flat());
}

async function run(model: Model, feeds: Record<string, ort.Tensor>): Promise<Record<string, ort.Tensor>> {
  const session = await ort.InferenceSession.create(await serialize(model), {logSeverityLevel: 3, intraOpNumThreads: 1});
  try {
    return (await session.run(feeds)) as Record<string, ort.Tensor>;
  } finally {
    await session.release();
  }
}

function rounder(type: 'fp8' | 'int8', element: DataType, opset: number): Model {
  const builder = GraphBuilder.create({name: 'rounder', opsets: {'': opset}, irVersion: 8});
  const x = builder.input('x', element, ['rows', SIZE]);
  builder.node('Identity', [new KvRounding(builder, type, element).round(x)], {outputs: ['y']});
  builder.output('y', element, ['rows', SIZE]);
  return builder.build();
}

describe.each(TYPES)('rounding to %s', (type) => {
  const x = vectors();
  const expected = Array.from({length: x.length / SIZE}, (_, row) => [
    ...roundedVector(x.slice(row * SIZE, (row + 1) * SIZE), type),
  ]).flat();

  it.each([13, 21])('is what its definition says, in operators of opset %i', async (opset) => {
    const {y} = await run(rounder(type, DataType.FLOAT, opset), {x: new ort.Tensor('float32', x, [x.length / SIZE, SIZE])});
    for (const [at, value] of expected.entries()) {
      // A product by a rounded quotient and a quotient may differ in the last bit.
      expect(Math.abs((y!.data as Float32Array)[at]! - value), `${at}`).toBeLessThanOrEqual(Math.abs(value) * 2 ** -22);
    }
  });

  it('rounds halves in single precision', async () => {
    const bits = float32ToFloat16(x.slice(4 * SIZE, 8 * SIZE));
    const {y} = await run(rounder(type, DataType.FLOAT16, 21), {x: halfTensor(bits, [4, SIZE])});
    const halves = float16ToFloat32(bits);
    const actual = float16ToFloat32(halfBits(y!));
    for (let row = 0; row < 4; row++) {
      const wanted = roundedVector(halves.slice(row * SIZE, (row + 1) * SIZE), type);
      for (const [at, value] of wanted.entries()) {
        expect(Math.abs(actual[row * SIZE + at]! - value)).toBeLessThanOrEqual(Math.abs(value) * 2 ** -10);
      }
    }
  });
});

const imported = (changes: Partial<DecoderConfig> = {}, dtype: 'fp32' | 'fp16' = 'fp32') => {
  const config = tinyConfig(changes);
  return buildDecoder(config, randomTensors(config), {dtype});
};
const exported = (options: Omit<ExportOptions, 'style'>) => exportedDecoder({style: 'genai', kvHeads: 2, headSize: 16, ...options});

const MODELS: readonly [string, () => Model, readonly [number, number], number][] = [
  ['an import', () => imported(), [2, 48], 2e-6],
  ['an import in half precision', () => imported({}, 'fp16'), [2, 48], 4e-3],
  ['norms by head, a window', () => imported({architecture: 'qwen3', slidingWindow: 4}), [2, 48], 2e-6],
  ['q, k and v apart, rotated by attention', () => exported({rotatingAttention: true}), [2, 16], 2e-6],
  [
    'a part of the head rotated, neighbours',
    () => exported({rotatingAttention: true, interleaved: true, headSize: 32, rotarySize: 16}),
    [2, 32],
    2e-6,
  ],
  ['rotated by nodes of their own', () => exported({}), [2, 16], 2e-6],
  ['a plain export', () => exportedDecoder({style: 'plain', kvHeads: 2, headSize: 16}), [2, 16], 2e-6],
  ['a plain export without rotation', plainDecoder, [2, 4], 2e-6],
];

describe.each(MODELS)('%s', (_, make, cache, tolerance) => {
  const PIECES = [[3, 1, 4, 1, 5, 9, 2], [6], [5, 3, 8], [9]];

  async function logits(model: Model): Promise<Float32Array[]> {
    await using session = await DecoderSession.create(model, cache);
    const rows = [];
    for (const piece of PIECES) rows.push(...(await session.step(piece)));
    return rows;
  }

  it('computes the same taken apart', async () => {
    const apart = make();
    const builder = GraphBuilder.extend(apart);
    let rounded = 0;
    changeCache(apart, builder, (value) => {
      rounded++;
      return builder.op('Identity', [value]);
    });
    expect(rounded).toBe(apart.graph.input.filter(({name}) => name.startsWith('past_key_values.')).length);
    const [expected, actual] = [await logits(make()), await logits(apart)];
    for (const [position, row] of expected.entries()) {
      const scale = Math.max(...row.map(Math.abs));
      for (const [token, logit] of row.entries()) expect(Math.abs(actual[position]![token]! - logit)).toBeLessThan(scale * tolerance);
    }
  });

  it.each(TYPES)('keeps keys and values of the first layer in %s', async (type) => {
    const model = make();
    const changed = make();
    roundCache(changed, type);
    const [plain, rounded] = [await presents(model, cache), await presents(changed, cache)];
    for (const part of ['key', 'value']) {
      const [x, y] = [plain, rounded].map((each) => each[`present.0.${part}`]!) as [Float32Array, Float32Array];
      for (let at = 0; at < x.length; at += cache[1]) {
        const wanted = roundedVector(x.slice(at, at + cache[1]), type);
        const most = Math.max(...wanted.map(Math.abs));
        // Where the rotation's last bit decides, a code may be the next one.
        const others = wanted.filter((value, i) => Math.abs(value - y[at + i]!) > most * 1e-3);
        expect(others.length, `vector ${at / cache[1]} of ${part}`).toBeLessThanOrEqual(1);
      }
    }
  });
});

/** Keys and values of some tokens, in single precision. */
async function presents(model: Model, [kvHeads, headSize]: readonly [number, number]): Promise<Record<string, Float32Array>> {
  const tokens = [3, 1, 4, 1, 5];
  const half = model.graph.input.some(({type}) => type?.value.case === 'tensorType' && type.value.value.elemType === DataType.FLOAT16);
  const int64 = (values: readonly number[]) => new ort.Tensor('int64', BigInt64Array.from(values, BigInt), [1, values.length]);
  const empty = half
    ? halfTensor(new Uint16Array(), [1, kvHeads, 0, headSize])
    : new ort.Tensor('float32', new Float32Array(), [1, kvHeads, 0, headSize]);
  const feeds = model.graph.input.map(({name}): [string, ort.Tensor] => {
    if (name === 'input_ids') return [name, int64(tokens)];
    if (name === 'attention_mask') return [name, int64(tokens.map(() => 1))];
    if (name === 'position_ids') return [name, int64(tokens.map((_, at) => at))];
    return [name, empty];
  });
  const outputs = await run(model, Object.fromEntries(feeds));
  return Object.fromEntries(
    Object.entries(outputs).map(([name, tensor]) => [name, half ? float16ToFloat32(halfBits(tensor)) : (tensor.data as Float32Array)]),
  );
}

it('refuses a cache that goes elsewhere', () => {
  const builder = GraphBuilder.create({name: 'other', opsets: {'': 21}});
  const past = builder.input('past_key_values.0.key', DataType.FLOAT, [1, 2, 'past', 4]);
  const added = builder.input('added', DataType.FLOAT, [1, 2, 'new', 4]);
  builder.node('Concat', [past, added], {outputs: ['y'], attributes: {axis: int(0)}});
  builder.output('y', DataType.FLOAT, [2, 2, 'all', 4]);
  expect(() => roundCache(builder.build(), 'fp8')).toThrow('a cache that goes into Concat cannot be rounded');
});
