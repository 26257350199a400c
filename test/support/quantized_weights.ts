/** The matrices of a quantised ONNX model as plain numbers, decoded in plain loops: what operators must make of them. */

import {float16ToFloat32} from '../../lib/import/numeric/float16.js';
import {DataType} from '../../lib/onnx/data_type.js';
import {intAttribute} from '../../lib/onnx/graph.js';
import {readModel} from '../../lib/onnx/read.js';

export interface DecodedMatrix {
  operator: string;
  outer: number;
  inner: number;
  values: Float32Array;
}

/** By module: 'model.layers.0.mlp.down_proj'. */
export async function decodeMatrices(path: string): Promise<Map<string, DecodedMatrix>> {
  const model = await readModel(path);
  const tensors = new Map(model.graph.initializer.map((tensor) => [tensor.name, tensor]));
  const bytes = (name: string) => model.readTensorData(tensors.get(name)!);
  const numbers = async (name: string): Promise<Float32Array> => {
    const {buffer} = Uint8Array.from(await bytes(name));
    return tensors.get(name)!.dataType === DataType.FLOAT16 ? float16ToFloat32(new Uint16Array(buffer)) : new Float32Array(buffer);
  };
  const found = new Map<string, DecodedMatrix>();
  for (const node of model.graph.node) {
    const name = node.name.split('/').filter(Boolean).slice(0, -1).join('.');
    if (node.opType === 'MatMulNBits' || node.opType === 'GatherBlockQuantized') {
      const table = node.opType === 'GatherBlockQuantized';
      const [codesAt, scalesAt, zerosAt] = table ? [0, 2, 3] : [1, 2, 3];
      const codes = await bytes(node.input[codesAt!]!);
      const scales = await numbers(node.input[scalesAt!]!);
      const zeros = node.input[zerosAt!] ? await bytes(node.input[zerosAt!]!) : undefined;
      const [bits, block] = [intAttribute(node, 'bits', 4), intAttribute(node, 'block_size', 128)];
      const dims = tensors.get(node.input[codesAt!]!)!.dims.map(Number);
      const outer = dims[0]!;
      const inner = table ? (dims[1]! * 8) / bits : intAttribute(node, 'K', 0);
      const blocks = Math.ceil(inner / block);
      const nth = (array: Uint8Array, row: number, perRow: number, at: number): number =>
        bits === 8 ? array[row * perRow + at]! : (array[row * perRow + (at >> 1)]! >> ((at & 1) * 4)) & 15;
      const values = new Float32Array(outer * inner);
      for (let row = 0; row < outer; row++) {
        for (let column = 0; column < inner; column++) {
          const at = Math.floor(column / block);
          const zero = zeros ? nth(zeros, row, Math.ceil((blocks * bits) / 8), at) : 2 ** (bits - 1);
          const code = nth(codes, row, (blocks * block * bits) / 8, column);
          values[row * inner + column] = (code - zero) * scales[row * blocks + at]!;
        }
      }
      found.set(name, {operator: node.opType, outer, inner, values});
    } else if (node.opType === 'DequantizeLinear') {
      const codes = await bytes(node.input[0]!);
      const scales = await numbers(node.input[1]!);
      const {dims, dataType} = tensors.get(node.input[0]!)!;
      const [outer, inner] = dims.map(Number) as [number, number];
      const decode = dataType === DataType.INT8 ? (code: number) => (code << 24) >> 24 : e4m3;
      const values = Float32Array.from(codes, (code, at) => decode(code) * scales[Math.floor(at / inner)]!);
      found.set(name, {operator: dataType === DataType.INT8 ? 'int8' : 'float8', outer, inner, values});
    }
  }
  return found;
}

function e4m3(code: number): number {
  const [exponent, mantissa] = [(code >> 3) & 15, code & 7];
  const magnitude = exponent === 0 ? mantissa * 2 ** -9 : (8 + mantissa) * 2 ** (exponent - 10);
  return code & 128 ? -magnitude : magnitude;
}
