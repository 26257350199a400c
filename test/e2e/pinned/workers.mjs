// Twenty threads use pinned memory and end in each way a thread can end; the pool gets everything back.
import assert from 'node:assert/strict';
import {once} from 'node:events';
import {isMainThread, parentPort, Worker, workerData} from 'node:worker_threads';

import {Device} from '../../../dist/native/device.js';

const endings = ['return', 'exit', 'throw', 'terminate'];

if (isMainThread) {
  const device = Device.open(0);
  const own = device.allocatePinned(4096);
  await Promise.all(
    Array.from({length: 20}, async (_, i) => {
      const ending = endings[i % endings.length];
      const worker = new Worker(new URL(import.meta.url), {workerData: ending});
      worker.on('error', (error) => assert.equal(error.message, 'thrown on purpose'));
      const exited = new Promise((resolve) => worker.on('exit', resolve));
      if (ending === 'terminate') {
        await once(worker, 'message');
        await worker.terminate();
      }
      await exited;
    }),
  );
  assert.equal(device.pinnedStats().usedBlocks, 1);
  assert(device.pinnedStats().highWaterBytes > 4096);
  own.dispose();
  assert.equal(device.pinnedStats().usedBlocks, 0);
  assert.equal(device.deviceStats().usedBlocks, 0);
  console.log('done');
} else {
  const device = Device.open(0);
  const stream = device.createStream('worker');
  const memory = device.allocate(1 << 16, stream);
  const kept = Array.from({length: 10}, () => device.allocatePinned(1 << 16));
  kept[0].dispose();
  for (const each of kept.slice(1)) stream.copyToDevice(memory, each);
  const done = stream.done();
  parentPort.postMessage('busy');
  if (workerData === 'exit') process.exit(0);
  if (workerData === 'throw') throw new Error('thrown on purpose');
  if (workerData === 'terminate') setInterval(() => {}, 1000);
  await done;
}
