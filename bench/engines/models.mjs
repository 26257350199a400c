/**
 * The real models of the engine benchmarks: the shapes they are built for, what calibrates them, and the inputs they are
 * tried on, preprocessed as their own packages do it.
 */

import {readdirSync, readFileSync} from 'node:fs';
import path from 'node:path';

import {readNpy} from './npy.mjs';
import {inputsFolder, modelFile} from './places.mjs';

const RECOGNISER_WIDTH = 320;
const CLASSIFIER_WIDTH = 192;
/** Pictures in a calibration batch of the models that take small ones. */
const CALIBRATION_BATCH = 8;

/**
 * What int8 needs of the PP-OCRv4 networks to read: no rare large value cut off, and in fp16 all that is no convolution,
 * the first eight convolutions, which are the most sensitive, and the depthwise ones.
 */
const PP_OCR_INT8 = {
  algorithm: 'min-max',
  layers: ['p2o.[!C]*', 'p2o.Cl*', 'p2o.Concat*', 'p2o.Conv.[0-79]', 'p2o.Conv.1[13579]', 'p2o.Conv.2[159]', 'p2o.Conv.31'].map(
    (pattern) => ({pattern, precision: 'fp16'}),
  ),
};

/**
 * `profiles`: for buildEngine. `cases()`: {name, feeds} each. `calibration()`: batches for buildEngine, where the model
 * is one that int8 is for; `int8`: how. `latency`: the shapes that latency is measured with. `stream`: cases follow each other, and
 * the outputs named are the next one's inputs.
 */
export const models = {
  detector: {
    file: modelFile('detector'),
    precisions: ['fp32', 'fp16', 'int8'],
    profiles: [{x: {min: [1, 3, 736, 736], opt: [1, 3, 736, 736], max: [1, 3, 1088, 1088]}}],
    latency: {x: [1, 3, 736, 736]},
    cases: () => pictures('detector', (picture) => normalized(picture)),
    calibration: () => batches('detector', 1),
    int8: PP_OCR_INT8,
  },
  recogniser: {
    file: modelFile('recogniser'),
    precisions: ['fp32', 'fp16', 'int8'],
    profiles: [
      {x: {min: [1, 3, 48, RECOGNISER_WIDTH], opt: [CALIBRATION_BATCH, 3, 48, RECOGNISER_WIDTH], max: [CALIBRATION_BATCH, 3, 48, 1600]}},
    ],
    latency: {x: [1, 3, 48, RECOGNISER_WIDTH]},
    cases: () => pictures('recogniser', (picture) => normalized(picture, Math.max(RECOGNISER_WIDTH, picture.dims[1]))),
    calibration: () => batches('recogniser', CALIBRATION_BATCH),
    int8: PP_OCR_INT8,
  },
  classifier: {
    file: modelFile('classifier'),
    precisions: ['fp32', 'fp16', 'int8'],
    profiles: [
      {
        x: {
          min: [1, 3, 48, CLASSIFIER_WIDTH],
          opt: [CALIBRATION_BATCH, 3, 48, CLASSIFIER_WIDTH],
          max: [CALIBRATION_BATCH, 3, 48, CLASSIFIER_WIDTH],
        },
      },
    ],
    latency: {x: [1, 3, 48, CLASSIFIER_WIDTH]},
    cases: () => pictures('classifier', (picture) => normalized(picture, CLASSIFIER_WIDTH)),
    calibration: () => batches('classifier', CALIBRATION_BATCH),
  },
  'silero-vad': {
    // As prepare.mjs lowers it: 16 kHz, and no If.
    file: modelFile('silero-vad-16k'),
    precisions: ['fp32', 'fp16'],
    profiles: [{input: range([1, 576]), state: range([2, 1, 128])}],
    latency: {input: [1, 576], state: [2, 1, 128]},
    cases: () => windows(),
    stream: {stateN: 'state'},
  },
  encoder: {
    file: modelFile('encoder'),
    precisions: ['fp32', 'fp16'],
    profiles: [
      {
        input_ids: {min: [1, 4], opt: [1, 32], max: [8, 128]},
        attention_mask: {min: [1, 4], opt: [1, 32], max: [8, 128]},
      },
    ],
    latency: {input_ids: [1, 32], attention_mask: [1, 32]},
    cases: () => sentences(),
  },
};

function range(dims) {
  return {min: dims, opt: dims, max: dims};
}

/** Files of a picture each, by name. */
function* pictures(name, preprocess) {
  for (const file of inputFiles(name, /^(\d+)\.npy\.gz$/)) {
    yield {name: file.key, feeds: {x: preprocess(readNpy(file.path))}};
  }
}

async function* batches(name, count) {
  const {dims, data} = readNpy(path.join(inputsFolder, `${name}-calibration.npy.gz`));
  const [total, height, width] = dims;
  const bytes = height * width * 3;
  for (let at = 0; at + count <= total; at += count) {
    const each = Array.from({length: count}, (_, index) =>
      normalized({dims: dims.slice(1), data: data.subarray((at + index) * bytes, (at + index + 1) * bytes)}),
    );
    const all = new Float32Array(count * bytes);
    for (const [index, picture] of each.entries()) all.set(picture.data, index * bytes);
    yield {x: {type: 'float32', dims: [count, 3, height, width], data: all}};
  }
}

/** [H, W, 3] bytes to [1, 3, H, width] floats in -1 to 1; what is right of the picture is 0. */
function normalized({dims: [height, from], data}, width = from) {
  const plane = height * width;
  const out = new Float32Array(3 * plane);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < from; x++) {
      const pixel = 3 * (y * from + x);
      for (let channel = 0; channel < 3; channel++) {
        out[channel * plane + y * width + x] = (data[pixel + channel] / 255 - 0.5) / 0.5;
      }
    }
  }
  return {type: 'float32', dims: [1, 3, height, width], data: out};
}

function* windows() {
  const {dims, data} = readNpy(path.join(inputsFolder, 'silero-vad.npy.gz'));
  for (let at = 0; at < dims[0]; at++) {
    const feeds = {input: {type: 'float32', dims: [1, dims[1]], data: data.slice(at * dims[1], (at + 1) * dims[1])}};
    if (at === 0) feeds.state = {type: 'float32', dims: [2, 1, 128], data: new Float32Array(256)};
    yield {name: String(at).padStart(3, '0'), feeds};
  }
}

/** What export_encoder.py left: token ids and masks. */
function* sentences() {
  for (const file of inputFiles('encoder', /^(\d+)\.ids\.npy$/)) {
    const ids = readNpy(file.path);
    const mask = readNpy(file.path.replace('.ids.', '.mask.'));
    yield {name: file.key, feeds: {input_ids: ids, attention_mask: mask}};
  }
}

function inputFiles(name, pattern) {
  return readdirSync(inputsFolder)
    .filter((file) => file.startsWith(`${name}-`) && pattern.test(file.slice(name.length + 1)))
    .sort()
    .map((file) => ({key: pattern.exec(file.slice(name.length + 1))[1], path: path.join(inputsFolder, file)}));
}

/** What the recogniser's classes stand for: the file of its characters, made by prepare.mjs, between blank and space. */
export function characters() {
  return JSON.parse(readFileSync(path.join(inputsFolder, 'characters.json'), 'utf8'));
}

/** The text on each of the recogniser's pictures. */
export function lineTexts() {
  return JSON.parse(readFileSync(path.join(inputsFolder, 'lines.json'), 'utf8'));
}
