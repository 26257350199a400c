/**
 * What becomes of a service when the builder dies? A model that TensorRT's builder aborts on is built while another
 * engine answers in this process: the build must end in a typed error, and every answer must come and be right.
 *
 *   node bench/engines-builder-abort.mjs [--size 4096] [--hidden 14336] [--layers 16] [--block 128]
 *                                          [--rows 16] [--distinct] [--seconds 240] [--beside classifier] [--save]
 *                                          [--form constants|transposed|inputs] [--typing strong|weak]
 *                                          [--memory MIB]
 *
 * Needs a GPU, `npm run build`, `build:addon` and bench/.models. The claim is 1 if the build ended in ERR_BUILD with the
 * process's end told and no answer was wrong; the error is beside it. `--memory` lets the builder's address space grow by
 * so much and no more, as a small container would (by `prlimit`, of util-linux). A builder that comes through says so instead.
 */

import {execFileSync} from 'node:child_process';
import {mkdtempSync, readdirSync, readFileSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {parseArgs} from 'node:util';

import {buildEngine, Engine} from '../dist/index.js';
import {writeModel} from '../dist/onnx/write.js';
import {ensureEngine} from './engines/build.mjs';
import {int4Mlps} from './engines/int4_mlps.mjs';
import {models} from './engines/models.mjs';
import {percentiles} from './lib/latency.mjs';
import {machine} from './lib/machine.mjs';
import {Results, say} from './lib/results.mjs';

const {values: options} = parseArgs({
  options: {
    size: {type: 'string', default: '4096'},
    hidden: {type: 'string', default: '14336'},
    layers: {type: 'string', default: '16'},
    /** Weights of a column that share a scale. */
    block: {type: 'string', default: '128'},
    /** The largest batch, which is tuned for. */
    rows: {type: 'string', default: '16'},
    seconds: {type: 'string', default: '240'},
    /** The model whose engine answers meanwhile. */
    beside: {type: 'string', default: 'classifier'},
    level: {type: 'string'},
    /** Each matrix has weights of its own. */
    distinct: {type: 'boolean', default: false},
    form: {type: 'string', default: 'constants'},
    typing: {type: 'string', default: 'strong'},
    memory: {type: 'string'},
    save: {type: 'boolean'},
  },
});
const [size, hidden, layers, block, rows] = [options.size, options.hidden, options.layers, options.block, options.rows].map(Number);

const results = new Results('engines.jsonl', await machine());
const scratch = mkdtempSync(path.join(tmpdir(), 'engines-builder-abort-'));
const {folder} = await ensureEngine(options.beside, 'fp16', {level: options.level});
const engine = await Engine.load(folder, {backend: 'tensorrt'});
const {feeds} = models[options.beside].cases().next().value;
const [output] = engine.outputs;
const expected = [...(await engine.run(feeds))[output.name].data];

let building = true;
let wrong = 0;
const times = [];
const serving = (async () => {
  while (building) {
    const start = performance.now();
    const got = (await engine.run(feeds))[output.name].data;
    times.push(performance.now() - start);
    if (got.some((value, index) => value !== expected[index])) wrong++;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
})();

const file = path.join(scratch, 'int4.onnx');
const {distinct, form} = options;
await writeModel(int4Mlps({size, hidden, layers, block, distinct, form}), file, {externalData: 'int4.onnx_data'});
const start = performance.now();
let limited = false;
const error = await buildEngine(file, {
  typing: options.typing,
  profiles: [{x: {min: [1, size], opt: [rows, size], max: [rows, size]}}],
  output: path.join(scratch, 'engine'),
  cache: false,
  timingCache: false,
  signal: AbortSignal.timeout(Number(options.seconds) * 1000),
  onProgress: ({phase, detail}) => {
    if (limited || options.memory === undefined || phase !== 'build' || detail === 'starting') return;
    limited = true;
    limitBuilder(Number(options.memory));
  },
}).then(
  () => undefined,
  (reason) => reason,
);
const seconds = (performance.now() - start) / 1000;
building = false;
await serving;
const after = [...(await engine.run(feeds))[output.name].data];
await engine.dispose();
rmSync(scratch, {recursive: true, force: true});

const died = error?.code === 'ERR_BUILD' && error.process !== undefined;
const answered = wrong === 0 && after.every((value, index) => value === expected[index]);
say(
  error === undefined
    ? 'the builder came through: nothing is shown'
    : `${error.name} ${error.code}: ${error.message}\n${(error.log ?? []).join('\n')}`,
);
results.record({
  claim: 'engines.4.survived',
  value: died && answered ? 1 : 0,
  unit: '1 if it did',
  error: error && {name: error.name, code: error.code, message: error.message, process: error.process, log: error.log?.slice(-3)},
  build_s: seconds,
  answers_meanwhile: times.length,
  wrong,
  answer_ms_p99: percentiles(times).p99,
  memory_mib: options.memory && Number(options.memory),
  model: `${layers} gated MLPs of ${size} and ${hidden}, weights INT4 (${form}) in blocks of ${block}${distinct ? ', each its own' : ''}, up to ${rows} rows`,
});
if (!(died && answered)) process.exitCode = 1;

/** The child of this process that builds may have so many MiB more than it has now. */
function limitBuilder(mebibytes) {
  const children = readdirSync('/proc/self/task').flatMap((task) =>
    readFileSync(`/proc/self/task/${task}/children`, 'utf8').split(' ').filter(Boolean),
  );
  for (const child of children) {
    const [, size] = /^VmSize:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${child}/status`, 'utf8')) ?? [];
    execFileSync('prlimit', ['--pid', child, `--as=${Number(size) * 1024 + mebibytes * 2 ** 20}`]);
    say(`builder ${child}: ${mebibytes} MiB more than ${Math.round(Number(size) / 1024)} MiB of address space`);
  }
}
