import * as ort from 'onnxruntime-node';
import {describe, expect, it} from 'vitest';
import {topologicalOrder} from '../../../onnx/check.js';
import {DataType} from '../../../onnx/data_type.js';
import {float, GraphBuilder, int} from '../../../onnx/graph_builder.js';
import type {Model} from '../../../onnx/model.js';
import {uniform} from '../random.js';
import {splitFloatZeroPoints} from './float_zero_points.js';
import {KEEP_INPUT, keepLogits} from './keep_logits.js';
import {prepare} from './prepare.js';
import {serialize} from './serialize.js';
import {splitBytes} from './split_bytes.js';
import {addUnreturnedOutput, UNRETURNED, wasUnreturned} from './unreturned_outputs.js';

let draws = 0;
const random = () => uniform(11, draws++);
const bytes = (count: number) => Uint8Array.from({length: count}, () => Math.floor(random() * 256));
const floats = (count: number, scale: number) => Float32Array.from({length: count}, () => (random() - 0.5) * scale);
const raw = (array: Float32Array) => new Uint8Array(array.buffer);

interface Product {
  bits: 4 | 8;
  k?: number;
  n?: number;
  bias?: boolean;
}

/** x [1, rows, K] times an [N, K] matrix in blocks of 32, and the same computed here in double precision. */
function product({bits, k = 96, n = 40, bias = false}: Product, zeroPoints: boolean, products = 1) {
  const builder = GraphBuilder.create({name: 'product', opsets: {'': 21, 'com.microsoft': 1}});
  const x = builder.input('x', DataType.FLOAT, [1, 'rows', k]);
  const blocks = k / 32;
  const matrices = Array.from({length: products}, (_, index) => {
    const codes = bytes((n * k * bits) / 8);
    const scales = floats(n * blocks, 0.1);
    const zeros = zeroPoints ? floats(n * blocks, 2 ** bits) : undefined;
    const offsets = bias ? floats(n, 2) : undefined;
    const inputs = [
      x,
      builder.initializer(`codes${index}`, DataType.UINT8, [n, blocks, 4 * bits], codes),
      builder.initializer(`scales${index}`, DataType.FLOAT, [n, blocks], raw(scales)),
      zeros ? builder.initializer(`zeros${index}`, DataType.FLOAT, [n, blocks], raw(zeros)) : '',
      '',
      offsets ? builder.initializer(`bias${index}`, DataType.FLOAT, [n], raw(offsets)) : '',
    ];
    builder.node('MatMulNBits', inputs, {
      domain: 'com.microsoft',
      outputs: [`y${index}`],
      attributes: {K: int(k), N: int(n), bits: int(bits), block_size: int(32), accuracy_level: int(0)},
    });
    builder.output(`y${index}`, DataType.FLOAT, [1, 'rows', n]);
    return {codes, scales, zeros, offsets};
  });
  const reference = (input: Float32Array, index: number): number[] => {
    const {codes, scales, zeros, offsets} = matrices[index]!;
    const result: number[] = [];
    for (let row = 0; row < input.length / k; row++) {
      for (let column = 0; column < n; column++) {
        let sum = offsets?.[column] ?? 0;
        for (let at = 0; at < k; at++) {
          const element = column * k + at;
          const code = bits === 8 ? codes[element]! : (codes[element >> 1]! >> (4 * (element & 1))) & 15;
          const block = column * blocks + Math.floor(at / 32);
          sum += input[row * k + at]! * (code - (zeros?.[block] ?? 2 ** (bits - 1))) * scales[block]!;
        }
        result.push(sum);
      }
    }
    return result;
  };
  return {model: builder.build(), k, reference};
}

async function run(model: Model, feeds: Record<string, ort.Tensor>): Promise<Record<string, ort.Tensor>> {
  const session = await ort.InferenceSession.create(await serialize(model), {logSeverityLevel: 3, intraOpNumThreads: 1});
  try {
    return (await session.run(feeds)) as Record<string, ort.Tensor>;
  } finally {
    await session.release();
  }
}

function expectClose(actual: ort.Tensor, expected: number[]): void {
  const largest = Math.max(...expected.map(Math.abs));
  for (const [index, value] of expected.entries()) {
    expect(Math.abs((actual.data as Float32Array)[index]! - value)).toBeLessThan(largest * 2e-6);
  }
}

const countOf = (model: Model, opType: string) => model.graph.node.filter((node) => node.opType === opType).length;

describe('splitFloatZeroPoints', () => {
  it.each([{bits: 4}, {bits: 4, bias: true}, {bits: 4, k: 32, n: 7}] as Product[])('keeps the numbers, %o', async (options) => {
    const {model, k, reference} = product(options, true);
    await splitFloatZeroPoints(model);
    expect(model.graph.node.find(({opType}) => opType === 'MatMulNBits')!.input[3] ?? '').toBe('');
    const input = floats(3 * k, 2);
    const {y0} = await run(model, {x: new ort.Tensor('float32', input, [1, 3, k])});
    expectClose(y0!, reference(input, 0));
  });

  it('sums the blocks of one input once for all its products', async () => {
    const {model, k, reference} = product({bits: 4}, true, 3);
    await splitFloatZeroPoints(model);
    expect(countOf(model, 'ReduceSum')).toBe(1);
    const input = floats(k, 2);
    const outputs = await run(model, {x: new ort.Tensor('float32', input, [1, 1, k])});
    for (const index of [0, 1, 2]) expectClose(outputs[`y${index}`]!, reference(input, index));
  });

  it('leaves symmetric products alone', async () => {
    const {model} = product({bits: 4}, false);
    await splitFloatZeroPoints(model);
    expect(model.graph.node.map(({opType}) => opType)).toEqual(['MatMulNBits']);
  });
});

describe('splitBytes', () => {
  it.each([{bits: 8}, {bits: 8, bias: true}, {bits: 8, k: 160, n: 9}] as Product[])('keeps the numbers, %o', async (options) => {
    const {model, k, reference} = product(options, false);
    await splitBytes(model);
    expect(countOf(model, 'MatMulNBits')).toBe(2);
    const input = floats(2 * k, 2);
    const {y0} = await run(model, {x: new ort.Tensor('float32', input, [1, 2, k])});
    expectClose(y0!, reference(input, 0));
  });

  it('leaves 4-bit products alone', async () => {
    const {model} = product({bits: 4}, false);
    await splitBytes(model);
    expect(countOf(model, 'MatMulNBits')).toBe(1);
  });
});

/** A head as decoders have it: a norm, then a product with a weight that is transposed first. */
function head(): Model {
  const builder = GraphBuilder.create({name: 'head', opsets: {'': 21}});
  const hidden = builder.input('hidden', DataType.FLOAT, [1, 'rows', 4]);
  const scale = builder.initializer('scale', DataType.FLOAT, [4], raw(Float32Array.of(1, 2, 3, 4)));
  const weight = builder.initializer('weight', DataType.FLOAT, [6, 4], raw(floats(24, 2)));
  const normed = builder.op('SimplifiedLayerNormalization', [hidden, scale]);
  builder.node('MatMul', [normed, builder.op('Transpose', [weight])], {outputs: ['logits']});
  builder.output('logits', DataType.FLOAT, [1, 'rows', 6]);
  return builder.build();
}

describe('keepLogits', () => {
  it.each([1, 2, 5])('gives the logits of the last %i positions', async (kept) => {
    const model = head();
    const hidden = new ort.Tensor('float32', floats(20, 2), [1, 5, 4]);
    const all = (await run(model, {hidden})).logits!;
    keepLogits(model);
    const {logits} = await run(model, {hidden, [KEEP_INPUT]: new ort.Tensor('int64', BigInt64Array.of(BigInt(kept)), [1])});
    expect(logits!.dims).toEqual([1, kept, 6]);
    expect(logits!.data).toEqual((all.data as Float32Array).slice(-6 * kept));
  });

  it('does nothing where the model has its own input for it, or no norm', () => {
    const model = head();
    keepLogits(model);
    const {length} = model.graph.node;
    keepLogits(model);
    expect(model.graph.node.length).toBe(length);
  });
});

describe('prepare', () => {
  // As in a tied 8-bit head: split in two, it is a chain no more, so the cut must come first.
  it('cuts the logits of an 8-bit head too', async () => {
    const {model, k, reference} = product({bits: 8}, false);
    const [node] = model.graph.node;
    const builder = GraphBuilder.extend(model);
    const scale = builder.float32('scale', Array<number>(k).fill(1));
    node!.input[0] = builder.op('SimplifiedLayerNormalization', ['x', scale], {attributes: {epsilon: float(1e-30)}});
    node!.output = ['logits'];
    model.graph.node = topologicalOrder(model.graph, 'head');
    model.graph.output[0]!.name = 'logits';
    await prepare(model, {accuracyLevel: 0});

    const row = floats(k, 2);
    const rms = Math.sqrt(row.reduce((sum, value) => sum + value * value, 0) / k);
    const input = Float32Array.of(...floats(2 * k, 2), ...row);
    const {logits} = await run(model, {
      x: new ort.Tensor('float32', input, [1, 3, k]),
      [KEEP_INPUT]: new ort.Tensor('int64', BigInt64Array.of(1n), [1]),
    });
    expect(logits!.dims[1]).toBe(1);
    expectClose(
      logits!,
      reference(
        row.map((value) => value / rms),
        0,
      ),
    );
  });
});

describe('addUnreturnedOutput', () => {
  it('lets a run write into our buffers and hand nothing back', async () => {
    const model = head();
    const feeds = {hidden: new ort.Tensor('float32', floats(8, 2), [1, 2, 4])};
    const expected = (await run(model, feeds)).logits!;
    addUnreturnedOutput(model);
    const session = await ort.InferenceSession.create(await serialize(model), {logSeverityLevel: 3});
    const logits = new ort.Tensor('float32', new Float32Array(12), [1, 2, 6]);
    const error = await session.run(feeds, {[UNRETURNED]: null, logits}).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    await session.release();
    expect(wasUnreturned(error)).toBe(true);
    expect(logits.data).toEqual(expected.data);
    expect(wasUnreturned(new Error('something else'))).toBe(false);
  });
});
