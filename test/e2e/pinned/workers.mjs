// Twenty threads use pinned memory and end in each way a thread can end; the pool gets everything back.
import assert from 'node:assert/strict';
import {isMainThread, workerData} from 'node:worker_threads';

import {Device} from '../../../dist/native/device.js';
import {endAs, runToEachEnding} from '../../support/worker_endings.mjs';

if (isMainThread) {
  const device = Device.open(0);
  const own = device.allocatePinned(4096);
  await runToEachEnding(new URL(import.meta.url), 20);
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
  endAs(workerData.ending);
  await done;
}
