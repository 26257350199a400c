/**
 * What bench/profile-truth.mjs holds against another profiler: a model that is loaded, a prompt and some steps, and runs of
 * an engine. Called with JSON: {folder, prompt, steps, engine, runs, trace}; with a trace it is recorded, kernel by kernel.
 */

import {Engine, loadModel, profiler} from '../../dist/index.js';

const {folder, prompt, steps, engine, runs, trace} = JSON.parse(process.argv[2]);

const recording = trace === undefined ? undefined : await profiler.start({file: trace, gpu: true, graphNodes: true});
const model = await loadModel(folder, {backend: 'tensorrt', maxContext: 2048, maxBatch: 1});
const tokens = Uint32Array.from({length: prompt}, (_, at) => 100 + ((at * 37) % 1000));
await model.generateText(tokens, {maxNewTokens: steps, temperature: 0});
await model.dispose();
if (engine !== undefined) {
  const loaded = await Engine.load(engine.folder, {backend: 'tensorrt', contexts: 1});
  const binding = loaded.bind(engine.shapes);
  for (let run = 0; run < runs; run++) await binding.run();
  binding.dispose();
  await loaded.dispose();
}
await recording?.stop();
