/** A worker thread that loads a model, generates and exits by having nothing left to do. */

import {workerData} from 'node:worker_threads';

import {loadModel} from 'tensorrt-node';

const model = await loadModel(workerData.source, {backend: 'cpu'});
const {tokens} = await model.generateText(Uint32Array.of(1, 2, 3), {maxNewTokens: 8, temperature: 0});
if (tokens.length === 0) throw new Error('no tokens');
await model.dispose();
