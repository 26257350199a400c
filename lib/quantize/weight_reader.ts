/** Weight matrices as models store them, read in slices of rows that fit in memory. */

import {isConverted} from '../import/graph/dense.js';
import {BLOCKS} from '../import/numeric/blocks.js';
import {dequantize} from '../import/numeric/dequantize.js';
import {BytesSource, FileSource, readSource, type TensorSource} from '../onnx/tensor_source.js';
import {type BlockRows, type DenseRows, type NativeFloats, quantizeAddon, type Running} from './native.js';

/** Rows [first, first + outer) of a matrix. */
export interface Slice extends DenseRows {
  first: number;
}

/** A matrix [outer, inner], where inner is what a product sums over. */
export interface WeightReader {
  readonly outer: number;
  readonly inner: number;
  /** Bytes as they are stored. */
  readonly byteLength: number;
  /** All rows in order. The bytes of a slice are its own. */
  slices(running: Running): AsyncIterable<Slice>;
}

/** Large enough to keep threads and a disk busy. */
const SLICE_BYTES = 32 * 2 ** 20;

function rowsOf(outer: number, rowBytes: number): number {
  return Math.max(1, Math.min(outer, Math.floor(SLICE_BYTES / rowBytes)));
}

export interface DenseWeight {
  source: TensorSource;
  type: NativeFloats;
  outer: number;
  inner: number;
  /** Stored as [inner, outer]. */
  transposed: boolean;
}

export function denseReader(weight: DenseWeight): WeightReader {
  const {source, outer, inner} = weight;
  // Not as the graph wants it, but as the checkpoint has it: no conversion, and rows are rows.
  const slices = isConverted(source) ? () => checkpointSlices(source.tensor, outer, inner) : () => denseSlices(weight);
  return {outer, inner, byteLength: isConverted(source) ? source.tensor.byteLength : source.byteLength, slices};
}

async function* denseSlices({source, type, outer, inner, transposed}: DenseWeight): AsyncGenerator<Slice> {
  if (transposed) {
    yield {data: await readSource(source), type, outer, inner, transposed, first: 0};
    return;
  }
  const rowBytes = inner * (type === 'float32' ? 4 : 2);
  const rows = rowsOf(outer, rowBytes);
  const parts = new Parts(source);
  for (let first = 0; first < outer; first += rows) {
    const count = Math.min(rows, outer - first);
    yield {data: await parts.read(first * rowBytes, count * rowBytes), type, outer: count, inner, transposed, first};
  }
}

const FLOATS: Readonly<Record<string, NativeFloats>> = {F32: 'float32', F16: 'float16', BF16: 'bfloat16'};

async function* checkpointSlices(
  tensor: {type: keyof typeof BLOCKS; read(): Promise<Uint8Array>},
  outer: number,
  inner: number,
): AsyncGenerator<Slice> {
  const raw = await tensor.read();
  const {elements, bytes} = BLOCKS[tensor.type];
  const rowBytes = (inner / elements) * bytes;
  const rows = rowsOf(outer, inner * 4);
  for (let first = 0; first < outer; first += rows) {
    const count = Math.min(rows, outer - first);
    const part = raw.subarray(first * rowBytes, (first + count) * rowBytes);
    const type = FLOATS[tensor.type];
    const data = type === undefined ? bytesOf(dequantize(tensor.type, part)) : part;
    yield {data, type: type ?? 'float32', outer: count, inner, transposed: false, first};
  }
}

export interface BlockWeight extends Omit<BlockRows, 'codes' | 'scales' | 'zeroPoints'> {
  codes: TensorSource;
  scales: TensorSource;
  zeroPoints: TensorSource | undefined;
}

/** A matrix that is quantised already, as the numbers that its codes stand for. */
export function blockReader({codes, scales, zeroPoints, ...layout}: BlockWeight): WeightReader {
  const {outer, inner} = layout;
  const parts = {codes, scales, ...(zeroPoints ? {zeroPoints} : {})};
  const byteLength = Object.values(parts).reduce((sum, part) => sum + part.byteLength, 0);
  return {
    outer,
    inner,
    byteLength,
    async *slices(running) {
      const addon = quantizeAddon();
      const rows = rowsOf(outer, inner * 4);
      const readers = Object.entries(parts).map(([name, source]) => [name, new Parts(source)] as const);
      for (let first = 0; first < outer; first += rows) {
        const count = Math.min(rows, outer - first);
        const read: Record<string, Uint8Array> = {};
        for (const [name, reader] of readers) {
          const rowBytes = reader.byteLength / outer;
          read[name] = await reader.read(first * rowBytes, count * rowBytes);
        }
        const values = new Float32Array(count * inner);
        const {codes, scales, zeroPoints = new Uint8Array()} = read as {codes: Uint8Array; scales: Uint8Array; zeroPoints?: Uint8Array};
        await addon.readBlockRows({...running, ...layout, codes, scales, zeroPoints, outer: count, values});
        yield {data: bytesOf(values), type: 'float32', outer: count, inner, transposed: false, first};
      }
    },
  };
}

/** Makes `values` all of a matrix, [outer, inner]. */
export async function readFloats(reader: WeightReader, running: Running, values: Float32Array): Promise<void> {
  const addon = quantizeAddon();
  for await (const slice of reader.slices(running)) {
    const part = values.subarray(slice.first * slice.inner, (slice.first + slice.outer) * slice.inner);
    await addon.readDenseRows({...running, ...slice, values: part});
  }
}

/** Parts of a source: from a file as they are asked for, of any other from a copy of it all. */
class Parts {
  #all: Promise<Uint8Array> | undefined;

  constructor(private readonly source: TensorSource) {}

  get byteLength(): number {
    return this.source.byteLength;
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    const {source} = this;
    if (source instanceof FileSource) return readSource(new FileSource(source.file, source.offset + offset, length));
    this.#all ??= source instanceof BytesSource ? Promise.resolve(source.bytes) : readSource(source);
    return (await this.#all).subarray(offset, offset + length);
  }
}

export function bytesOf(array: ArrayBufferView): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}
