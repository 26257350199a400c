import {beforeAll, describe, expect, it} from 'vitest';

import {tinyLoweredDecoder} from '../../../test/support/tiny_lowered_decoder.js';
import type {LoweredDecoder} from '../../decoder/lowered_decoder.js';
import {inlineRows, type QuantizedRows, type WeightRef} from '../../decoder/weight_ref.js';
import {nativeRequest, type PartPlans} from './native_request.js';

const limits = {slots: 2, decodeRows: 2, narrowRows: 16, prefillRows: 2048, scoreRows: 16, pages: 4, maxContext: 128, maxWaiting: 9};
let lowered: LoweredDecoder;
let plans: PartPlans;
beforeAll(async () => {
  lowered = await tinyLoweredDecoder();
  plans = new Map(lowered.parts.map(({name}, at) => [name, {decode: Uint8Array.of(at, 0), prefill: Uint8Array.of(at, 1)}]));
});

const requestOf = (weights: readonly WeightRef[] = lowered.weights) =>
  nativeRequest({...lowered, weights}, plans, {device: 3, tensorrt: ['libnvinfer.so.10'], deterministic: false, limits});

describe('the request for a lowered decoder', () => {
  it('says where weights are, by the runs, and how many places they pass through', () => {
    const options = {device: 0, tensorrt: [], deterministic: false, limits};
    const placed = nativeRequest(lowered, plans, {...options, tiers: ['gpu', 'ram', 'disk', 'gpu'], places: 2, offloadFolder: '/fast'});
    expect(placed).toMatchObject({placement: ['vram', 'ram', 'disk', 'vram'], prefetchDepth: 2, offloadFolder: '/fast'});
    expect(Object.keys(nativeRequest(lowered, plans, options))).not.toContain('placement');
  });

  it('has its shape, limits and plans in the order of the parts', () => {
    expect(requestOf()).toMatchObject({
      device: 3,
      tensorrt: ['libnvinfer.so.10'],
      type: 'float16',
      layers: 2,
      kvHeads: 2,
      headSize: 64,
      hiddenSize: 64,
      vocabularySize: 80,
      parts: [0, 1, 2].map((at) => ({decode: Uint8Array.of(at, 0), prefill: Uint8Array.of(at, 1)})),
      limits,
    });
  });

  it('runs the block once a layer, with weights that are inputs of it', () => {
    const {sequence, weights} = requestOf();
    expect(sequence.map(({part, layer}) => [part, layer])).toEqual([
      [0, undefined],
      [1, 0],
      [1, 1],
      [2, undefined],
    ]);
    for (const [at, execution] of sequence.entries()) {
      const part = lowered.parts[execution.part]!;
      expect(execution.weights.map(({name}) => name).sort()).toEqual(part.weights.map(({name}) => name).sort());
      for (const {name, weight} of execution.weights) expect(weight).toBe(lowered.sequence[at]!.weights[name]);
    }
    expect(weights).toHaveLength(lowered.weights.length);
  });

  it('describes every element of every weight', () => {
    for (const [at, {columns, pieces, type}] of requestOf().weights.entries()) {
      const {shape, type: wanted} = lowered.weights[at]!;
      expect(type).toBe(wanted);
      expect([pieces.reduce((sum, {rows}) => sum + rows, 0), columns]).toEqual([shape[0], shape[1] ?? 1]);
    }
  });

  it('names a weight after where it is used', () => {
    const norm = requestOf().sequence[2]!.weights.find(({weight}) => lowered.weights[weight]!.shape.length === 1)!;
    expect(requestOf().weights[norm.weight]!.name).toBe(`layer 1, ${norm.name}`);
  });
});

describe('the pieces of a weight', () => {
  const at = (file: string, offset: number, length: number) => ({file, offset, length});
  const quantized: QuantizedRows = {
    kind: 'quantized',
    rows: 4,
    columns: 32,
    codeType: 'uint4',
    blockSize: 32,
    transposed: false,
    codes: at('q', 0, 64),
    scales: at('q', 64, 8),
    scaleType: 'float16',
  };
  const piecesOf = (...rows: WeightRef['rows']) => requestOf([{type: 'float16', shape: [4, 32], rows}]).weights[0]!.pieces;

  it('lie in files or are at hand', () => {
    const bytes = new Uint8Array(256);
    expect(
      piecesOf(
        {kind: 'dense', rows: 2, columns: 32, type: 'bfloat16', transposed: false, data: at('w', 12, 128)},
        {kind: 'dense', rows: 2, columns: 32, type: 'float32', transposed: true, data: at('w', 140, 256)},
        inlineRows(2, 32, 'float32', bytes),
      ),
    ).toEqual([
      {form: 'plain', rows: 2, stored: 'bfloat16', values: {path: 'w', offset: 12, bytes: 128}},
      {form: 'transposed', rows: 2, stored: 'float32', values: {path: 'w', offset: 140, bytes: 256}},
      {form: 'plain', rows: 2, stored: 'float32', values: {inline: bytes}},
    ]);
  });

  it('may be codes, whose zero is in the middle', () => {
    expect(piecesOf(quantized)).toEqual([
      {
        form: 'quantized',
        rows: 4,
        values: {path: 'q', offset: 0, bytes: 64},
        codes: 'uint4',
        blockSize: 32,
        transposed: false,
        scales: {path: 'q', offset: 64, bytes: 8},
        scaleType: 'float16',
      },
    ]);
  });

  it('may stay as they are, in as many bytes as kernels take them', () => {
    const packed = {codes: 'uint4', offsets: 'middle', block: 32, gated: false} as const;
    const [matrix] = requestOf([{type: 'float16', shape: [4, 32], rows: [quantized], packed}]).weights;
    // A tile of one unit, and its scales.
    expect(matrix).toMatchObject({type: 'float16', columns: 32, packed: {...packed, bytes: 512 + 256}});
    expect(requestOf([{type: 'float16', shape: [4, 32], rows: [quantized]}]).weights[0]).not.toHaveProperty('packed');
  });

  it('or where the file says', () => {
    const zeroPoints = {type: 'codes', data: at('q', 72, 4)} as const;
    expect(piecesOf({...quantized, zeroPoints})[0]).toMatchObject({zeroPoints: {type: 'codes', values: {path: 'q', offset: 72, bytes: 4}}});
  });
});
