/**
 * Stands for the native addon where there is no GPU (TENSORRT_NODE_ADDON names it): its activities are those of SmolLM2's
 * decode steps as an H100 made them, as many a second as SYNTHETIC_RATE says, by the clock. What nobody takes in time is
 * dropped and counted, as the addon does.
 */

const KERNELS = ['gemv_norm_float16_1_2', 'attention_decode_float16_64', 'gemv_float16_1_1', 'gemv_norm_float16_1_1'];
const LAYERS = 30;
const [KERNEL, COPY, GRAPH, SYNCHRONIZE] = [0, 1, 3, 4];
const TO_HOST = 2;

const environment = process.env;
const rate = Number(environment.SYNTHETIC_RATE ?? 10_000);
const nodes = environment.SYNTHETIC_NODES === '1';

let layout;
let state;

/** Of one step: {kind, name, length} in nanoseconds. */
function stepOf() {
  const after = [
    {kind: COPY, name: 'copy to host', length: 1500},
    {kind: SYNCHRONIZE, name: 'wait for an event', length: 20_000},
  ];
  if (!nodes) return [{kind: KERNEL, name: 'begin_step', length: 1600}, {kind: GRAPH, name: 'graph', length: 380_000}, ...after];
  const layers = Array.from({length: LAYERS}, () => KERNELS.map((name) => ({kind: KERNEL, name, length: 2800}))).flat();
  const ends = ['begin_step', 'embed_float16', 'sample_scan', 'sample_choose'].map((name) => ({kind: KERNEL, name, length: 2000}));
  return [...layers, ...ends, ...after];
}

function now(origin) {
  return Number(process.hrtime.bigint()) - origin;
}

module.exports = {
  loadDriver: () => ({status: 'ready', path: 'synthetic', problem: '', hint: ''}),
  driverVersion: () => ({api: 13000}),
  devices: () => [{ordinal: 0, name: 'synthetic'}],

  async startProfiler({origin, maxActivities}) {
    layout = await import('../../dist/native/activities.js');
    state = {origin, most: maxActivities, began: now(origin), given: 0, step: stepOf(), names: ['decode', 'copy to host'], told: 0};
    state.numbers = new Map(state.names.map((name, index) => [name, index + 1]));
    for (const {name} of state.step) {
      if (!state.numbers.has(name)) state.numbers.set(name, state.names.push(name));
    }
    return {collection: {}, library: 'synthetic', version: 130001};
  },

  async stopProfiler() {
    state.end ??= now(state.origin);
  },

  takeActivities(_, most) {
    const due = Math.floor((((state.end ?? now(state.origin)) - state.began) / 1e9) * rate);
    const dropped = Math.max(0, due - state.given - state.most);
    state.given += dropped;
    const count = Math.min(most, due - state.given);
    const records = new ArrayBuffer(count * layout.packedBytes);
    const [doubles, words] = [new Float64Array(records), new Uint32Array(records)];
    for (let index = 0; index < count; index++)
      pack(state.given + index, doubles, index * layout.doublesOfOne, words, index * layout.wordsOfOne);
    state.given += count;
    const names = state.names.slice(state.told);
    state.told = state.names.length;
    return {records, names, steps: new ArrayBuffer(0), models: [], dropped};
  },
};

function pack(number, doubles, at, words, first) {
  const {step, numbers, began} = state;
  const {kind, name, length} = step[number % step.length];
  const start = Math.round(began + (number / rate) * 1e9);
  doubles[at] = start;
  doubles[at + 1] = start + length + (number % 97);
  doubles[at + 2] = kind === COPY ? 172 : 0;
  words[first + 6] = kind;
  if (kind === COPY) words[first + 7] = TO_HOST;
  words[first + 10] = 30;
  words[first + 11] = 1;
  words[first + 12] = numbers.get(name);
  if (kind === GRAPH || (nodes && kind === KERNEL)) words[first + 13] = 11;
  if (kind === KERNEL) words.set([72, 3, 1, 256, 1, 1, 10_448, 120], first + 15);
  const launch = Math.floor(number / step.length) + 1;
  for (const {word} of layout.varyingWords) words[first + word] = launch;
}
