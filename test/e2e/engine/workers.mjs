// Threads of JavaScript end in each way they can, with runs under way; the pools get everything back.
import assert from 'node:assert/strict';
import {once} from 'node:events';
import {isMainThread, parentPort, Worker, workerData} from 'node:worker_threads';

import {dense, device, load, plan, tensor} from './fixture.mjs';

const endings = ['return', 'exit', 'throw', 'terminate'];

if (isMainThread) {
  const bytes = await plan(dense());
  await Promise.all(
    Array.from({length: 12}, async (_, i) => {
      const ending = endings[i % endings.length];
      const worker = new Worker(new URL(import.meta.url), {workerData: {ending, bytes, disposed: i >= 8}});
      worker.on('error', (error) => assert.equal(error.message, 'thrown on purpose'));
      const exited = new Promise((resolve) => worker.on('exit', resolve));
      if (ending === 'terminate') {
        await once(worker, 'message');
        await worker.terminate();
      }
      await exited;
    }),
  );
  assert.equal(device.pinnedStats().usedBlocks, 0);
  assert.equal(device.deviceStats().usedBlocks, 0);
  console.log('done');
} else {
  const {ending, bytes, disposed} = workerData;
  const loaded = await load(bytes);
  const binding = loaded.bind([[2, 4]], {graph: true, timing: false});
  const input = [tensor([2, 2, 2, 2], [1, 4])];
  for (let i = 0; i < 5; i++) await Promise.all([binding.run(), loaded.run(input).result]);
  const pending = [binding.run(), ...Array.from({length: 10}, () => loaded.run(input).result)];
  for (const each of pending) each.catch(() => {});
  if (disposed) {
    binding.dispose();
    loaded.dispose();
  }
  parentPort.postMessage('busy');
  if (ending === 'exit') process.exit(0);
  if (ending === 'throw') throw new Error('thrown on purpose');
  if (ending === 'terminate') setInterval(() => {}, 1000);
  await Promise.allSettled(pending);
}
