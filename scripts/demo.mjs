#!/usr/bin/env node
// `npm run demo`: from a fresh clone to a streamed answer. Installs, builds, fetches the small model, imports it,
// asks it something, and says what ran where and how fast. Needs Node, and python3 with pip for the model.

import path from 'node:path';

import {buildTypeScript} from './lib/build.mjs';
import {ensureDependencies} from './lib/dependencies.mjs';
import {root, run} from './lib/run.mjs';
import {step} from './lib/steps.mjs';

const _QUESTION = process.argv[2] ?? 'Why is the sky blue?';

const prepared =
  (await step('dependencies', async () => ((await ensureDependencies()) ? 'installed' : 'there already'))) &&
  (await step('TypeScript', () => buildTypeScript().then(() => 'built'))) &&
  (await step('addon', async () => lastLine(await run(process.execPath, [path.join(root, 'scripts', 'build-addon.mjs'), '--optional'])))) &&
  (await step('model', async () => {
    const {ensureModel} = await import('./model.mjs');
    return `SmolLM2-135M-Instruct, ${(await ensureModel()) ? 'fetched and imported to ONNX' : 'there already'}`;
  }));

if (prepared) await answer();
else process.exitCode = 1;

async function answer() {
  const {loadModel} = await import(new URL('../dist/index.js', import.meta.url));
  const {modelFolder} = await import('./model.mjs');
  await using _model = await loadModel(modelFolder);
}

function lastLine(text) {
  return text.trimEnd().split('\n').at(-1);
}
