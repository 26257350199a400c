// Ends in the way MODE names, with the engine of ENGINE; whatever keeps the process or breaks it is seen from outside.
import {once} from 'node:events';
import {isMainThread, parentPort, Worker} from 'node:worker_threads';

import {Engine} from '../../../dist/index.js';

const x = {type: 'float32', dims: [64, 4], data: new Float32Array(256)};
const load = () => Engine.load(process.env.ENGINE, {threads: 1});

if (!isMainThread) {
  const engine = await load();
  for (let index = 0; index < 50; index++) void engine.run({x}).catch(() => {});
  parentPort.postMessage('running');
  setImmediate(() => process.exit(0));
} else if (process.env.MODE === 'idle') {
  await load();
  console.log('ready');
} else if (process.env.MODE === 'running') {
  const engine = await load();
  void engine.run({x}).then(() => console.log('answered'));
} else if (process.env.MODE === 'exit') {
  const engine = await load();
  for (let index = 0; index < 50; index++) void engine.run({x});
  console.log('ready');
  setImmediate(() => process.exit(0));
} else if (process.env.MODE === 'exit-loading') {
  void load();
  console.log('ready');
  setTimeout(() => process.exit(0), 20);
} else {
  for (let index = 0; index < 4; index++) {
    const worker = new Worker(new URL(import.meta.url));
    await once(worker, 'exit');
  }
  const engine = await load();
  await engine.run({x});
  console.log('ready');
}
