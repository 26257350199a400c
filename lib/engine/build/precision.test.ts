import {describe, expect, it} from 'vitest';

import {OptionError} from '../../errors.js';
import {DataType} from '../../onnx/data_type.js';
import {GraphBuilder, int} from '../../onnx/graph_builder.js';
import type {BuildOptions} from './options.js';
import {chooseTyping, type ModelTypes, typesOf} from './precision.js';

const PLAIN: ModelTypes = {quantized: new Set(), half: undefined};
const HALF: ModelTypes = {quantized: new Set(), half: 'fp16'};
const BRAIN: ModelTypes = {quantized: new Set(), half: 'bf16'};
const QDQ8: ModelTypes = {quantized: new Set(['int8']), half: undefined};
const QDQF8: ModelTypes = {quantized: new Set(['fp8']), half: 'fp16'};
const QDQ4: ModelTypes = {quantized: new Set(['other']), half: 'fp16'};
const CALIBRATION = {cache: 'c'};

describe('chooseTyping', () => {
  it.each<[string, ModelTypes, BuildOptions, object]>([
    ['a plain model', PLAIN, {}, {precision: 'fp32', stronglyTyped: false, flags: []}],
    ['a plain model', PLAIN, {precision: 'tf32'}, {precision: 'tf32', flags: ['tf32']}],
    ['a plain model', PLAIN, {precision: 'fp16'}, {precision: 'fp16', stronglyTyped: false, flags: ['fp16', 'tf32']}],
    ['a plain model', PLAIN, {precision: 'bf16'}, {flags: ['bf16', 'tf32']}],
    ['a plain model', PLAIN, {precision: 'int8', calibration: CALIBRATION}, {flags: ['int8', 'fp16', 'tf32'], needsCalibration: true}],
    ['a plain model', PLAIN, {typing: 'strong'}, {precision: 'fp32', stronglyTyped: true, flags: []}],
    ['a plain model', PLAIN, {typing: 'strong', precision: 'tf32'}, {stronglyTyped: true, flags: ['tf32']}],
    ['a plain model', PLAIN, {weightStreaming: true}, {precision: 'fp32', stronglyTyped: true, flags: []}],
    [
      'layers',
      PLAIN,
      {precision: 'fp16', layers: [{pattern: 'a', precision: 'fp32', outputType: 'fp16'}]},
      {flags: ['fp16', 'tf32', 'obey-precision-constraints']},
    ],
    [
      'layers',
      PLAIN,
      {precision: 'int8', calibration: CALIBRATION, layers: [{pattern: 'a', precision: 'fp16'}], layerConstraints: 'prefer'},
      {flags: ['int8', 'fp16', 'tf32', 'prefer-precision-constraints']},
    ],
    ['halves', HALF, {}, {precision: 'fp16', stronglyTyped: true, flags: []}],
    ['halves', BRAIN, {precision: 'bf16'}, {precision: 'bf16', stronglyTyped: true, flags: []}],
    ['halves', HALF, {typing: 'weak'}, {precision: 'fp16', stronglyTyped: false, flags: ['fp16', 'tf32']}],
    ['Q/DQ', QDQ8, {}, {precision: 'int8', stronglyTyped: true, flags: [], needsCalibration: false}],
    ['Q/DQ', QDQ8, {typing: 'weak'}, {precision: 'int8', stronglyTyped: false, flags: ['int8', 'fp16', 'tf32'], needsCalibration: false}],
    ['Q/DQ of float8', QDQF8, {precision: 'fp8'}, {precision: 'fp8', stronglyTyped: true, flags: []}],
    ['Q/DQ of float8', QDQF8, {typing: 'weak'}, {precision: 'fp8', flags: ['fp8', 'fp16', 'tf32']}],
    ['4-bit weights', QDQ4, {}, {precision: 'fp16', stronglyTyped: true}],
    ['halves that stream', HALF, {weightStreaming: true}, {stronglyTyped: true}],
  ])('%s: %j %j', (_name, types, options, expected) => {
    expect(chooseTyping(types, options)).toMatchObject(expected);
  });

  it.each<[string, ModelTypes, BuildOptions, string, string]>([
    ['int8 without ranges', PLAIN, {precision: 'int8'}, 'calibration', "given for precision 'int8'"],
    ['fp8 without Q/DQ', PLAIN, {precision: 'fp8'}, 'precision', 'no QuantizeLinear and DequantizeLinear nodes of float8'],
    ['fp8 of a half model', HALF, {precision: 'fp8', typing: 'weak'}, 'precision', 'quantize the model first'],
    ['fp16 of a strong fp32 model', PLAIN, {precision: 'fp16', typing: 'strong'}, 'precision', "'fp32' or 'tf32' or left out"],
    ['fp32 of a half model', HALF, {precision: 'fp32'}, 'precision', 'as the model is in fp16'],
    ['fp16 of Q/DQ', QDQ8, {precision: 'fp16'}, 'precision', "the model has Q/DQ of int8; with typing: 'weak' TensorRT chooses"],
    ['layers of a strong build', HALF, {layers: [{pattern: 'a', precision: 'fp32'}]}, 'layers', "the model's types count"],
    [
      'fp16 layers of an fp32 build',
      PLAIN,
      {layers: [{pattern: 'a', precision: 'fp16'}]},
      'layers[0].precision',
      "precision 'fp32' allows",
    ],
    [
      'int8 outputs of an fp16 build',
      PLAIN,
      {precision: 'fp16', layers: [{pattern: 'a', outputType: 'int8'}]},
      'layers[0].outputType',
      "precision 'fp16' allows",
    ],
    ['calibration of fp16', PLAIN, {precision: 'fp16', calibration: CALIBRATION}, 'calibration', 'left out'],
    ['calibration of Q/DQ', QDQ8, {calibration: CALIBRATION}, 'calibration', 'left out'],
    ['streaming fp16 of a plain model', PLAIN, {precision: 'fp16', weightStreaming: true}, 'weightStreaming', 'strongly typed'],
    ['streaming weakly', HALF, {typing: 'weak', weightStreaming: true}, 'weightStreaming', 'strongly typed'],
  ])('refuses %s', (_name, types, options, option, allowed) => {
    const choose = () => chooseTyping(types, options);
    expect(choose).toThrow(OptionError);
    expect(choose).toThrow(expect.objectContaining({option, allowed: expect.stringContaining(allowed)}));
  });
});

describe('typesOf', () => {
  function types(make: (graph: GraphBuilder) => void): {quantized: string[]; half: string | undefined} {
    const graph = GraphBuilder.create({name: 'g', opsets: {'': 21}});
    make(graph);
    const {quantized, half} = typesOf(graph.model);
    return {quantized: [...quantized].sort(), half};
  }
  const zero = (graph: GraphBuilder, type: DataType) => graph.initializer('zero', type, [], new Uint8Array(1));

  it.each<[string, (graph: GraphBuilder) => void, {quantized: string[]; half: string | undefined}]>([
    ['nothing', () => {}, {quantized: [], half: undefined}],
    ['an input in fp16', (graph) => graph.input('x', DataType.FLOAT16, [1]), {quantized: [], half: 'fp16'}],
    ['weights in bf16', (graph) => graph.initializer('w', DataType.BFLOAT16, [1], new Uint8Array(2)), {quantized: [], half: 'bf16'}],
    [
      'int8 by its zero point',
      (graph) => graph.op('QuantizeLinear', [graph.input('x', DataType.FLOAT, [1]), graph.float32('s', [1]), zero(graph, DataType.INT8)]),
      {quantized: ['int8'], half: undefined},
    ],
    [
      'float8 by its zero point',
      (graph) =>
        graph.op('QuantizeLinear', [graph.input('x', DataType.FLOAT, [1]), graph.float32('s', [1]), zero(graph, DataType.FLOAT8E4M3FN)]),
      {quantized: ['fp8'], half: undefined},
    ],
    [
      'float8 by output_dtype',
      (graph) =>
        graph.op('QuantizeLinear', [graph.input('x', DataType.FLOAT, [1]), graph.float32('s', [1])], {
          attributes: {output_dtype: int(DataType.FLOAT8E4M3FN)},
        }),
      {quantized: ['fp8'], half: undefined},
    ],
    [
      'uint8 where nothing says otherwise',
      (graph) => graph.op('QuantizeLinear', [graph.input('x', DataType.FLOAT, [1]), graph.float32('s', [1])]),
      {quantized: ['other'], half: undefined},
    ],
    [
      'int8 weights',
      (graph) => graph.op('DequantizeLinear', [graph.initializer('w', DataType.INT8, [1], new Uint8Array(1)), graph.float32('s', [1])]),
      {quantized: ['int8'], half: undefined},
    ],
    [
      'int4 weights',
      (graph) => graph.op('DequantizeLinear', [graph.initializer('w', DataType.INT4, [1], new Uint8Array(1)), graph.float32('s', [1])]),
      {quantized: ['other'], half: undefined},
    ],
  ])('%s', (_name, make, expected) => {
    expect(types(make)).toEqual(expected);
  });
});
