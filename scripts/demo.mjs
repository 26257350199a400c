#!/usr/bin/env node
// `npm run demo`: from a fresh clone to a streamed answer. Installs, builds, fetches the small model, imports it,
// asks it something, and says what ran where and how fast. Needs Node, and python3 with pip for the model.

import path from 'node:path';

import {buildTypeScript} from './lib/build.mjs';
import {ensureDependencies} from './lib/dependencies.mjs';
import {root, run} from './lib/run.mjs';
import {step} from './lib/steps.mjs';

const QUESTION = process.argv[2] ?? 'What is photosynthesis?';

const prepared =
  (await step('dependencies', async () => ((await ensureDependencies()) ? 'installed' : 'there already'))) &&
  (await step('TypeScript', () => buildTypeScript().then(() => 'built'))) &&
  (await step('addon', async () => lastLine(await run(process.execPath, [path.join(root, 'scripts', 'build-addon.mjs'), '--optional'])))) &&
  (await step('model', async () => {
    const {ensureModel} = await import('./model.mjs');
    return `SmolLM2-135M-Instruct, ${(await ensureModel()) ? 'imported to ONNX' : 'there already'}`;
  }));

let model;
const loaded = prepared && (await step('load', load));
if (loaded) await answer();
else process.exitCode = 1;

/** On TensorRT where that can be, whose engines are built the first time. */
async function load() {
  const {loadModel} = await import(new URL('../dist/index.js', import.meta.url));
  const {modelFolder} = await import('./model.mjs');
  let built = false;
  model = await loadModel(modelFolder, {
    onProgress: ({phase}) => {
      built ||= phase === 'build';
    },
  });
  return `${model.description}${built ? ', engines built' : ''}`;
}

async function answer() {
  const {inspect} = await import(new URL('../dist/index.js', import.meta.url));
  console.log(`\n> ${QUESTION}`);
  const messages = [{role: 'user', content: QUESTION}];
  let last;
  for await (const {text, finish} of model.generate(messages, {maxNewTokens: 200})) {
    process.stdout.write(text);
    last = finish;
  }

  const {usage, timings} = last;
  const {backends} = await inspect();
  const line = (name, value) => console.log(`${name.padEnd(14)}${value}`);
  console.log('\n');
  line('ran on', model.description);
  // Where it is usable and yet not used, the model's description says why.
  if (!backends.tensorrt.usable) line('GPU', `not used: ${backends.tensorrt.why}`);
  line('prompt', `${usage.promptTokens} tokens in ${timings.prefill.toFixed(0)} ms`);
  line('first token', `after ${timings.firstToken.toFixed(0)} ms`);
  line('reply', `${usage.completionTokens} tokens at ${(1000 / timings.perToken).toFixed(1)} tok/s`);
  await model.dispose();
}

/** What a script had to say at the end, without its name in front. */
function lastLine(text) {
  return text
    .trimEnd()
    .split('\n')
    .at(-1)
    .replace(/^\w+: /, '');
}
