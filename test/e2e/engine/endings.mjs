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
} else if (process.env.MODE === 'dispose') {
  for (let round = 0; round < 5; round++) {
    const engine = await load();
    const bindings = [engine.bind({x: [2, 4]}), engine.bind({x: [3, 4]}, {graph: false, timing: true})];
    const pinned = engine.allocate('x', [64, 4]);
    const runs = Array.from({length: 20}, (_, index) => engine.run({x: index % 2 === 0 ? x : pinned}));
    const settled = Promise.allSettled([...runs, ...bindings.map((binding) => binding.run())]);
    bindings[round % 2].dispose();
    await engine.dispose();
    await settled;
  }
  // Pinned tensors and results go with the garbage.
  for (let round = 0; round < 5; round++) {
    globalThis.gc();
    await new Promise((resolve) => setImmediate(resolve));
  }
  console.log('ready');
} else {
  for (let index = 0; index < 4; index++) {
    const worker = new Worker(new URL(import.meta.url));
    await once(worker, 'exit');
  }
  const engine = await load();
  await engine.run({x});
  console.log('ready');
}
