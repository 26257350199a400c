/** A quantised weight as the sources of its parts, made while they are written. */

import type {TensorSource} from '../onnx/tensor_source.js';
import {crunched, type Format, type QuantizedRows, quantizeAddon, type Running, roomFor, rowBytes} from './native.js';
import type {Slice, WeightReader} from './weight_reader.js';

export interface QuantizedMatrix {
  format: Format;
  outer: number;
  inner: number;
  /** [outer, blocks, block * bits / 8], or [outer, inner] where rows have one scale. */
  codes: TensorSource;
  /** [outer, blocks]. */
  scales: TensorSource;
  /** [outer, ceil(blocks * bits / 8)]. */
  zeroPoints: TensorSource | undefined;
}

export interface Rounding {
  format: Format;
  running: Running;
  /** For errors. */
  path: string;
  tensor: string;
  /** Told of rows as they are done. */
  done?: (rows: number) => void;
}

/** Rounds each slice while the one before it is being written. Codes first: the other parts are kept from then. */
export function roundedMatrix(reader: WeightReader, rounding: Rounding): QuantizedMatrix {
  const {outer, inner} = reader;
  const {format} = rounding;
  const bytes = rowBytes(format, inner);
  const kept: {scales?: Uint8Array; zeroPoints?: Uint8Array} = {};

  async function* codes(told = true): AsyncGenerator<Uint8Array> {
    const scales = new Uint8Array(outer * bytes.scales);
    const zeroPoints = new Uint8Array(outer * bytes.zeroPoints);
    for await (const {first, rows} of ahead(roundedSlices(reader, rounding))) {
      scales.set(rows.scales, first * bytes.scales);
      zeroPoints.set(rows.zeroPoints, first * bytes.zeroPoints);
      if (told) rounding.done?.(rows.scales.byteLength / bytes.scales);
      yield rows.codes;
    }
    Object.assign(kept, {scales, zeroPoints});
  }
  /** What was kept, once; whoever asks before the codes, or again, has it made anew. */
  async function* part(name: 'scales' | 'zeroPoints'): AsyncGenerator<Uint8Array> {
    if (kept[name] === undefined) for await (const _ of codes(false));
    const found = kept[name]!;
    kept[name] = undefined;
    yield found;
  }
  return {
    format,
    outer,
    inner,
    codes: {byteLength: outer * bytes.codes, chunks: () => codes()},
    scales: {byteLength: outer * bytes.scales, chunks: () => part('scales')},
    zeroPoints: bytes.zeroPoints > 0 ? {byteLength: outer * bytes.zeroPoints, chunks: () => part('zeroPoints')} : undefined,
  };
}

interface RoundedSlice {
  first: number;
  rows: QuantizedRows;
}

async function* roundedSlices(reader: WeightReader, rounding: Rounding): AsyncGenerator<RoundedSlice> {
  for await (const slice of reader.slices(rounding.running)) {
    yield {first: slice.first, rows: await roundSlice(slice, rounding)};
  }
}

export async function roundSlice(
  slice: Omit<Slice, 'first'>,
  {format, running, path, tensor}: Rounding,
  importance?: Float32Array,
): Promise<QuantizedRows> {
  const rows = roomFor(format, slice.outer, slice.inner);
  await crunched(quantizeAddon().quantizeRows({...running, ...slice, ...rows, format, importance}), path, tensor);
  return rows;
}

/** Asks for the next value before the one at hand is taken care of. */
async function* ahead<T>(values: AsyncGenerator<T>): AsyncGenerator<T> {
  let next = values.next();
  try {
    for (;;) {
      const {value, done} = await next;
      if (done) return;
      next = values.next();
      // Heard of when it is awaited.
      next.catch(() => undefined);
      yield value;
    }
  } finally {
    await next.catch(() => undefined);
    await values.return(undefined);
  }
}
