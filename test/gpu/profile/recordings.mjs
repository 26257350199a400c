// Records a model again and again, from before it was loaded and after; called with a model's folder and one for traces.
// Prints what each trace has, and how many replies there were: all the same. A tool that breaks its process ends this one.
import path from 'node:path';

import {loadModel, profiler} from '../../../dist/index.js';
import {readTrace} from '../../../dist/profile/trace_reader.js';

const [source, folder] = process.argv.slice(2);
const replies = new Set();
const traces = [];
let model;

async function reply() {
  const {tokens} = await model.generateText(Uint32Array.of(1, 2, 3, 4, 5), {maxNewTokens: 48, temperature: 0});
  replies.add(tokens.join());
}

async function recorded(name, options, work) {
  const file = path.join(folder, `${name}.json`);
  const recording = await profiler.start({file, gpu: true, ...options});
  await work();
  const {dropped} = await recording.stop();
  const {activities, hostEvents} = await readTrace(file);
  const count = (of) => activities.filter(of).length;
  traces.push({
    name,
    dropped,
    launches: count(({kind}) => kind === 'graph'),
    kernels: count(({kind}) => kind === 'kernel'),
    decoding: count(({phase}) => phase === 'decode'),
    requests: hostEvents.filter(({track, name: event}) => track === event && track.startsWith('request')).length,
  });
  // Without it, and with what it has left of graphs.
  await reply();
  await reply();
}

await recorded('loading', {}, async () => {
  model = await loadModel(source, {backend: 'tensorrt', maxContext: 512, maxBatch: 4});
  await reply();
});
await recorded('again', {}, reply);
await recorded('kernel by kernel', {graphNodes: true}, reply);
const second = model;
await recorded('loading another', {graphNodes: true}, async () => {
  model = await loadModel(source, {backend: 'tensorrt', maxContext: 512, maxBatch: 4, name: 'other'});
  await reply();
});
await second.dispose();
await model.dispose();
console.log(JSON.stringify({traces, replies: replies.size}));
