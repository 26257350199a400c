import {describe, expect, it} from 'vitest';

import {onnxOrigins, parsedName} from './onnx_origins.js';

const originsOf = (name: string, metadata?: string, known?: readonly string[]) => onnxOrigins([{name, metadata}], known)[0];

describe('origins in metadata', () => {
  it.each<[string, string, string[]]>([
    ['one', '[ONNX Layer: /conv1/Conv]', ['/conv1/Conv']],
    ['of one fusion', '[ONNX Layer: /conv1/Conv]\x1f[ONNX Layer: /relu/Relu]', ['/conv1/Conv', '/relu/Relu']],
    ['of several fusions', '[ONNX Layer: a]\x1f[ONNX Layer: b]\x1e[ONNX Layer: c]\x1f[ONNX Layer: a]', ['a', 'b', 'c']],
    ['of another optimization profile', '[ONNX Layer: a [profile 1]]\x1f[ONNX Layer: b [profile 1]]', ['a', 'b']],
    ['without anything between', '[ONNX Layer: a][ONNX Layer: b]', ['a', 'b']],
    ['names with brackets', '[ONNX Layer: x[0] / y]\x1f[ONNX Layer: z]]', ['x[0] / y', 'z]']],
  ])('%s', (_, metadata, expected) => {
    expect(originsOf('__myl_FcAddMul_myl0_3', metadata)).toEqual(expected);
  });

  it('count for more than the name', () => {
    expect(originsOf('a + b', '[ONNX Layer: c]', ['a', 'b', 'c'])).toEqual(['c']);
  });
});

describe('origins in names', () => {
  const KNOWN = [
    '/up/MatMul',
    '/up/MatMul_1',
    '/gate/Sigmoid',
    '/gate/Mul',
    '/down/MatMul',
    'Conv_0',
    'Conv_01',
    'Relu_1',
    'a(b) c',
    'node_of_y',
  ];

  it.each<[string, string[]]>([
    ['Conv_0', ['Conv_0']],
    ['Conv_0 + Relu_1', ['Conv_0', 'Relu_1']],
    ['/up/MatMul || /up/MatMul_1', ['/up/MatMul', '/up/MatMul_1']],
    ['PWN(/gate/Sigmoid)', ['/gate/Sigmoid']],
    ['PWN(PWN(/gate/Sigmoid), /gate/Mul)', ['/gate/Sigmoid', '/gate/Mul']],
    ['Conv_0 + PWN(PWN(/gate/Sigmoid), /gate/Mul)', ['Conv_0', '/gate/Sigmoid', '/gate/Mul']],
    ['Reformatting CopyNode for Input Tensor 0 to Conv_0 + Relu_1', ['Conv_0', 'Relu_1']],
    ['Reformatting CopyNode for Output Tensor 1 to PWN(/gate/Sigmoid)', ['/gate/Sigmoid']],
    ['/up/MatMul_1_myl0_12', ['/up/MatMul_1']],
    ['PWN(a(b) c)', ['a(b) c']],
    ['node_of_y', ['node_of_y']],
    ['Conv_0 + Relu_1 [profile 1]', ['Conv_0', 'Relu_1']],
    ['(Unnamed Layer* 3) [Constant] + (Unnamed Layer* 4) [Shuffle]', []],
    ['__myl_ResSqrMean_myl0_4', []],
  ])('%s, with the model and without it', (name, expected) => {
    expect(originsOf(name, undefined, KNOWN)).toEqual(expected);
    expect(originsOf(name)).toEqual(expected);
  });

  it.each<[string, string[]]>([
    ['reshape_before_/up/MatMul_1', ['/up/MatMul_1']],
    ['squeeze_after_Conv_01', ['Conv_01']],
    ['weights + (Unnamed Layer* 9) [Shuffle] + /gate/Mul', ['/gate/Mul']],
    ['/up/MatMul_2', ['/up/MatMul']],
    ['fused /up/MatMul/MatMulAddFusion', ['/up/MatMul']],
    ['xConv_0', []],
    ['Conv_0x', []],
  ])('%s, with the model alone', (name, expected) => {
    expect(originsOf(name, undefined, KNOWN)).toEqual(expected);
  });

  it('takes the nodes between the ends of a foreign node that no other layer has', () => {
    const known = ['a', 'b', 'c', 'd', 'e', 'f'];
    const layers = [
      {name: 'Reformatting CopyNode for Input Tensor 0 to {ForeignNode[b...e]}'},
      {name: '{ForeignNode[b...e]}'},
      {name: 'c + f'},
    ];
    expect(onnxOrigins(layers, known)).toEqual([
      ['b', 'e'],
      ['b', 'e', 'd'],
      ['c', 'f'],
    ]);
    expect(onnxOrigins(layers)).toEqual([
      ['b', 'e'],
      ['b', 'e'],
      ['c', 'f'],
    ]);
  });
});

it("calls nodes what TensorRT's parser calls them", () => {
  expect(parsedName({name: 'a', output: ['x']})).toBe('a');
  expect(parsedName({name: '', output: ['x', 'y']})).toBe('node_of_x');
});

it("takes TensorRT's spelling of a node's name for it, unless that is another's", () => {
  const known = ['/head.0/MatMul', '/head.1/MatMul', '/tail.0/Add', '/tail_0/Add', 'a.b', 'a-b'];
  const names = ['/head_0/MatMul_myl0_1', '/head_1/MatMul [profile 1]_myl1_3', '/tail_0/Add_myl0_2', 'a_b_myl0_4'];
  expect(
    onnxOrigins(
      names.map((name) => ({name})),
      known,
    ),
  ).toEqual([['/head.0/MatMul'], ['/head.1/MatMul'], ['/tail_0/Add'], []]);
});
