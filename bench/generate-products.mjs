/**
 * Why do decode steps have a product kernel of their own? Chains of products of one row, as long as their weights
 * are far more than the card's cache: our Linear beside TensorRT's own Gemm, built and run in the same process.
 *
 *   node bench/generate-products.mjs [--rows 1] [--width 576] [--rounds 3] [--save]
 *
 * Needs a GPU, `npm run build`, `build:addon`. Figures are µs a product: the median of runs of the whole chain, a
 * CUDA graph, less that of a chain of one, by the products between them. The peer is TensorRT's.
 */

import {randomFillSync} from 'node:crypto';
import {mkdtempSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {parseArgs} from 'node:util';

import {buildEngine, Engine} from '../dist/index.js';
import {DataType} from '../dist/onnx/data_type.js';
import {GraphBuilder, int, string} from '../dist/onnx/graph_builder.js';
import {BytesSource} from '../dist/onnx/tensor_source.js';
import {percentiles, timeSyncRuns} from './lib/latency.mjs';
import {machine} from './lib/machine.mjs';
import {median, Results, say} from './lib/results.mjs';

const {values: options} = parseArgs({
  options: {
    rows: {type: 'string', default: '1'},
    /** Only the chains of a decoder so wide. */
    width: {type: 'string'},
    rounds: {type: 'string', default: '3'},
    runs: {type: 'string', default: '400'},
    save: {type: 'boolean'},
  },
});
const [rows, rounds, runs] = [options.rows, options.rounds, options.runs].map(Number);

/** Of the 8B and the 135M decoder: there and back, so that one's output is the next one's input. */
const ALL_PAIRS = [
  {widths: [4096, 4096], pairs: 6},
  {widths: [4096, 6144], pairs: 4},
  {widths: [4096, 14336], pairs: 3},
  {widths: [576, 576], pairs: 60},
  {widths: [576, 960], pairs: 50},
  {widths: [576, 1536], pairs: 40},
];

const PAIRS = ALL_PAIRS.filter(({widths}) => options.width === undefined || widths[0] === Number(options.width));

const BUILDS_AT_ONCE = 6;

const PLUGIN = {
  plugin_namespace: string('tensorrt_node'),
  plugin_version: string('1'),
  has_bias: int(0),
  has_residual: int(0),
  output_float32: int(0),
};

const results = new Results('generate.jsonl', await machine());
const scratch = mkdtempSync(path.join(tmpdir(), 'generate-products-'));
try {
  const builds = PAIRS.flatMap(({widths, pairs}) =>
    ['Linear', 'Gemm'].flatMap((op) => [0, pairs].map((count) => () => build(op, widths, count))),
  );
  // A builder holds some 5 GB.
  const left = builds.values();
  const builder = async () => {
    for (const each of left) await each();
  };
  await Promise.all(Array.from({length: BUILDS_AT_ONCE}, builder));
  for (const {widths, pairs} of PAIRS) {
    const times = {Linear: [], Gemm: []};
    for (let round = 0; round < rounds; round++) {
      for (const op of ['Linear', 'Gemm']) {
        const [one, all] = [await measure(op, widths, 0), await measure(op, widths, pairs)];
        times[op].push((all - one) / (2 * pairs));
      }
    }
    const [own, tensorrt] = [median(times.Linear), median(times.Gemm)];
    const [narrow, wide] = widths;
    say(`${narrow} and ${wide}, ${rows} rows: ${own.toFixed(2)} µs, TensorRT ${tensorrt.toFixed(2)} µs a product`);
    results.record({
      claim: `generate.2.product_${narrow}_${wide}_rows${rows}_us`,
      value: own,
      unit: 'µs',
      peer: {TensorRT: tensorrt},
      gb_s: (2 * narrow * wide) / own / 1000,
    });
  }
} finally {
  rmSync(scratch, {recursive: true, force: true});
}

/** A chain of 1 + 2 * pairs products, all with weights of their own. */
function chain(op, [narrow, wide], pairs) {
  const builder = GraphBuilder.create({name: 'products', opsets: {'': 17, tensorrt_node: 1}, irVersion: 8});
  const widths = [narrow, narrow, ...Array.from({length: pairs}, () => [wide, narrow]).flat()];
  let value = builder.input('x', DataType.FLOAT16, [rows, narrow]);
  for (let at = 1; at < widths.length; at++) {
    const [inner, outer] = [widths[at - 1], widths[at]];
    const output = at === widths.length - 1 ? {output: 'y'} : {};
    const weight = (shape) => builder.initializer(`w${at}`, DataType.FLOAT16, shape, halves(inner * outer));
    const how = op === 'Gemm' ? {attributes: {transB: int(1)}} : {domain: 'tensorrt_node', attributes: PLUGIN};
    value = builder.op(op, [value, weight([outer, inner])], {...how, ...output});
  }
  builder.output('y', DataType.FLOAT16, [rows, narrow]);
  return builder.build();
}

/** Between -1/32 and 1/32. */
function halves(count) {
  const values = randomFillSync(new Uint16Array(count));
  for (let index = 0; index < count; index++) values[index] = (values[index] & 0x83ff) | ((6 + ((values[index] >> 10) & 3)) << 10);
  return new BytesSource(new Uint8Array(values.buffer));
}

function folderOf(op, widths, pairs) {
  return path.join(scratch, `${op}-${widths.join('-')}-${pairs}`);
}

async function build(op, widths, pairs) {
  await buildEngine(chain(op, widths, pairs), {typing: 'strong', output: folderOf(op, widths, pairs), cache: false});
}

async function measure(op, widths, pairs) {
  const engine = await Engine.load(folderOf(op, widths, pairs), {backend: 'tensorrt'});
  const binding = engine.bind();
  const times = timeSyncRuns(() => binding.runSync(), runs, 50);
  await engine.dispose();
  return percentiles(times).p50;
}
