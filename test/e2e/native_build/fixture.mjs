// Builds by the addon alone, in a folder that is gone when the process ends.
import {mkdtempSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import path from 'node:path';

import {writeModel} from '../../../dist/onnx/write.js';
import {addon, dense} from '../engine/fixture.mjs';

export {addon, dense};
export const folder = mkdtempSync(path.join(tmpdir(), 'native-build-'));
process.on('exit', () => rmSync(folder, {recursive: true, force: true}));
export const file = (name) => path.join(folder, name);
export const tensorrt = [path.join(process.env.TENSORRT_ROOT, 'libnvinfer.so.10')];
export const silent = {progress() {}, batchWanted() {}};

/** A request for the plan of a drawn model. */
export async function request({model, profiles} = dense(), more = {}) {
  await writeModel(model, file('model.onnx'));
  const files = {model: file('model.onnx'), plan: file('model.plan')};
  const types = {stronglyTyped: false, flags: [], layers: []};
  return {device: 0, tensorrt, ...files, ...types, profiles, profilingVerbosity: 'layer-names-only', ...more};
}

/** A batch of `rows` rows for the dense model. */
export function batch(value, rows = 2) {
  const {buffer, byteLength} = new Float32Array(rows * 4).fill(value);
  return {x: {buffer, byteOffset: 0, byteLength, dims: [rows, 4]}};
}

export const calibration = {algorithm: 'entropy2', batchSize: 2, cacheOut: file('calibration')};

/** What `action` throws or rejects with, as plain data. */
export async function failure(action) {
  try {
    await action();
  } catch (error) {
    return {name: error.name, code: error.code, message: error.message, call: error.call, hint: error.hint};
  }
  return {message: 'nothing was thrown'};
}
