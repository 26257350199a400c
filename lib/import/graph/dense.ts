/** Weights as plain floats, whatever type the checkpoint stores them in, made while they are written. */

import type {TensorSource} from '../../onnx/tensor_source.js';
import type {CheckpointTensor} from '../checkpoint.js';
import {BLOCKS} from '../numeric/blocks.js';
import {dequantize} from '../numeric/dequantize.js';
import {encodeFloats, type FloatType, floatBytes} from './float_type.js';
import {describeRow} from './join_rows.js';

/** Elements made at a time: 4 MiB as float32. */
const ELEMENTS_PER_CHUNK = 1 << 20;

/** Floats made of a checkpoint's tensor, which those who want its numbers otherwise take from here. */
export interface ConvertedSource extends TensorSource {
  readonly tensor: CheckpointTensor;
}

export function isConverted(source: TensorSource): source is ConvertedSource {
  return 'tensor' in source;
}

/** The tensor's elements in their order. */
export function denseSource(tensor: CheckpointTensor, type: FloatType): ConvertedSource {
  const elements = elementsOf(tensor);
  const {elements: perBlock, bytes: blockBytes} = BLOCKS[tensor.type];
  return {
    tensor,
    byteLength: elements * floatBytes(type),
    async *chunks() {
      const raw = await tensor.read();
      const chunkBytes = (ELEMENTS_PER_CHUNK / perBlock) * blockBytes;
      const rowElements = elements / tensor.shape[0]!;
      for (let at = 0, first = 0; at < raw.byteLength; at += chunkBytes, first += ELEMENTS_PER_CHUNK) {
        const values = dequantize(tensor.type, raw.subarray(at, at + chunkBytes));
        yield encodeFloats(type, values, (index) => describeRow(tensor, Math.floor((first + index) / rowElements)));
      }
    },
  };
}

/** Columns of a matrix made at a time, fewer if it has many rows: whole blocks, of which the largest is this wide. */
const COLUMNS_PER_CHUNK = 256;
const ELEMENTS_PER_STRIP = 1 << 24;

/** The matrix [rows, columns] as [columns, rows]. Besides the stored bytes only a few columns are in memory. */
export function transposedSource(tensor: CheckpointTensor, type: FloatType): ConvertedSource {
  const [rows, columns] = tensor.shape as readonly [number, number];
  const {elements: perBlock, bytes: blockBytes} = BLOCKS[tensor.type];
  return {
    tensor,
    byteLength: elementsOf(tensor) * floatBytes(type),
    async *chunks() {
      const raw = await tensor.read();
      const rowBytes = (columns / perBlock) * blockBytes;
      const fitting = Math.floor(ELEMENTS_PER_STRIP / rows / perBlock) * perBlock;
      const widest = Math.min(COLUMNS_PER_CHUNK, Math.max(fitting, perBlock));
      for (let first = 0; first < columns; first += widest) {
        const width = Math.min(widest, columns - first);
        const stripStart = (first / perBlock) * blockBytes;
        const stripBytes = (width / perBlock) * blockBytes;
        const strip = new Uint8Array(rows * stripBytes);
        for (let row = 0; row < rows; row++) {
          const from = row * rowBytes + stripStart;
          strip.set(raw.subarray(from, from + stripBytes), row * stripBytes);
        }
        yield encodeFloats(type, transpose(dequantize(tensor.type, strip), rows, width), (index) => describeRow(tensor, index % rows));
      }
    },
  };
}

function transpose(values: Float32Array, rows: number, columns: number): Float32Array {
  const out = new Float32Array(values.length);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) out[column * rows + row] = values[row * columns + column]!;
  }
  return out;
}

function elementsOf({shape}: CheckpointTensor): number {
  return shape.reduce((product, dim) => product * dim, 1);
}
