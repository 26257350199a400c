// Threads begin collections and end in each way a thread can end; the next one can begin another.
import assert from 'node:assert/strict';
import {isMainThread, workerData} from 'node:worker_threads';

import {Device} from '../../../dist/native/device.js';
import {GpuCollection} from '../../../dist/native/gpu_collection.js';
import {endAs, runToEachEnding} from '../../support/worker_endings.mjs';

if (isMainThread) {
  const device = Device.open(0);
  await runToEachEnding(new URL(import.meta.url), 8, (index) => ({waits: index < 4}));
  const collection = await GpuCollection.start();
  await assert.rejects(GpuCollection.start(), {code: 'ERR_BUSY'});
  const stream = device.createStream('main');
  const memory = device.allocate(4096, stream);
  stream.copyToDevice(memory, device.allocatePinned(4096));
  await stream.done();
  await collection.stop();
  // What threads that are gone had queued may be told as well.
  const copies = collection.take().activities.filter(({kind, streamName}) => kind === 'copy' && streamName === 'main');
  assert.deepEqual(
    copies.map(({bytes, streamName}) => ({bytes, streamName})),
    [{bytes: 4096, streamName: 'main'}],
  );
  stream.dispose();
  console.log('done');
} else {
  const device = Device.open(0);
  const stream = device.createStream('worker');
  const memory = device.allocate(4096, stream);
  // Others may be at it.
  const begun = GpuCollection.start().catch((error) => assert.equal(error.code, 'ERR_BUSY'));
  if (workerData.waits) await begun;
  for (let i = 0; i < 10; i++) stream.copyToDevice(memory, device.allocatePinned(4096));
  endAs(workerData.ending);
  await stream.done();
}
