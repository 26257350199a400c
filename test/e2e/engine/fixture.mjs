// Small engines for the programs beside: models drawn here, built by the addon, loaded without lib/engine between.
import {mkdtempSync, readFileSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import path from 'node:path';

import {Device} from '../../../dist/native/device.js';
import {requireAddon} from '../../../dist/native/load.js';
import {DataType} from '../../../dist/onnx/data_type.js';
import {GraphBuilder} from '../../../dist/onnx/graph_builder.js';
import {writeModel} from '../../../dist/onnx/write.js';

export const device = Device.open(0);
export const addon = requireAddon();
const tensorrt = [path.join(process.env.TENSORRT_ROOT, 'libnvinfer.so.10')];
const {FLOAT, INT64} = DataType;
const graph = (name) => GraphBuilder.create({name, opsets: {'': 17}});

/** `y = relu(x w + b)` for any number of rows; w is 1 on the diagonal, b is -1. */
export function dense(columns = 4, bias = -1) {
  const builder = graph('dense');
  const x = builder.input('x', FLOAT, ['rows', columns]);
  const identity = Array.from({length: columns * columns}, (_, i) => (i % (columns + 1) === 0 ? 1 : 0));
  const product = builder.op('MatMul', [x, builder.float32('w', identity, [columns, columns])]);
  const sum = builder.op('Add', [product, builder.float32('b', Array(columns).fill(bias))]);
  builder.op('Relu', [sum], {output: 'y'});
  builder.output('y', FLOAT, ['rows', columns]);
  const rows = (min, opt, max) => ({x: {min: [min, columns], opt: [opt, columns], max: [max, columns]}});
  return {model: builder.build(), profiles: [rows(1, 2, 8), rows(9, 16, 1024)]};
}

/** The places of x that are not zero: an output whose shape depends on data. */
export function nonZero() {
  const builder = graph('nonzero');
  const x = builder.input('x', FLOAT, [8]);
  builder.op('NonZero', [x], {output: 'places'});
  builder.output('places', INT64, [1, 'count']);
  return {model: builder.build(), profiles: []};
}

/** One row, as often as an input says. */
export function expand() {
  const builder = graph('expand');
  const x = builder.input('x', FLOAT, [1, 3]);
  const to = builder.input('shape', INT64, [2]);
  builder.op('Expand', [x, to], {output: 'y'});
  builder.output('y', FLOAT, ['rows', 'columns']);
  return {model: builder.build(), profiles: [{shape: {min: [1, 3], opt: [2, 3], max: [12, 3], values: true}}]};
}

/** Builds a plan; its bytes. */
export async function plan({model, profiles}, {flags = []} = {}) {
  const folder = mkdtempSync(path.join(tmpdir(), 'engine-'));
  try {
    const [onnx, file] = [path.join(folder, 'model.onnx'), path.join(folder, 'model.plan')];
    await writeModel(model, onnx);
    const request = {device: 0, tensorrt, model: onnx, plan: file, stronglyTyped: false, flags, profiles, layers: []};
    const build = addon.buildEngine({...request, profilingVerbosity: 'detailed'}, {progress() {}, batchWanted() {}});
    await build.result;
    return new Uint8Array(readFileSync(file));
  } finally {
    rmSync(folder, {recursive: true});
  }
}

export function load(bytes, options = {}) {
  return addon.loadEngine({device: 0, tensorrt, plan: bytes, contexts: 2, ...options});
}

/** Builds and loads. */
export async function engine(drawn, options) {
  return load(await plan(drawn), options);
}

/** An input of floats, or of integers where they are BigInts. */
export function tensor(values, dims = [values.length]) {
  const {buffer, byteOffset, byteLength} = typeof values[0] === 'bigint' ? BigInt64Array.from(values) : Float32Array.from(values);
  return {buffer, byteOffset, byteLength, dims};
}

export const floats = ({buffer}) => [...new Float32Array(buffer)];

/** Collects garbage until nothing of the device's memory is out. */
export async function collected() {
  const used = () => device.pinnedStats().usedBlocks + device.deviceStats().usedBlocks;
  for (let i = 0; i < 200 && used() > 0; i++) {
    globalThis.gc();
    await new Promise(setImmediate);
  }
  return used() === 0;
}

/** What `action` throws or rejects with. */
export async function caught(action) {
  try {
    await action();
  } catch (error) {
    return error;
  }
  throw new Error('nothing was thrown');
}
