// Without a driver: the error says so, for builds and for merges.
import assert from 'node:assert/strict';
import path from 'node:path';

import {requireAddon} from '../../../dist/native/load.js';

const addon = requireAddon();
const tensorrt = [path.join(process.env.TENSORRT_ROOT, 'libnvinfer.so.10')];
const files = {model: 'model.onnx', plan: 'model.plan'};
const request = {device: 0, tensorrt, ...files, stronglyTyped: false, flags: [], profilingVerbosity: 'none', profiles: [], layers: []};
const missing = {code: 'ERR_CUDA', call: 'cuInit', message: /no CUDA driver/};
await assert.rejects(addon.buildEngine(request, {progress() {}, batchWanted() {}}).result, missing);
await assert.rejects(addon.mergeTimingCache({device: 0, tensorrt, into: 'a', from: 'b'}), missing);
