// Records two requests, one beside the other, of a model: JSON {model, file, early, placement, …options of the recording}.
import {loadModel, profiler} from 'tensorrt-node';

const {model: source, file, early, placement, ...options} = JSON.parse(process.argv[2]);
const load = () =>
  loadModel(source, {
    backend: 'tensorrt',
    name: 'toy',
    maxContext: 128,
    maxBatch: 4,
    ...(placement === undefined ? {} : {placement: () => placement}),
  });

let model = early ? await load() : undefined;
const recording = await profiler.start({file, ...options});
model ??= await load();
const long = model.generateText('a rather long prompt', {maxNewTokens: 40, temperature: 0});
await model.generateText('short', {maxNewTokens: 12, temperature: 0});
await long;
if (recording.problem !== undefined) console.log(recording.problem.split('\n')[0]);
await recording.stop();
await model.dispose();
