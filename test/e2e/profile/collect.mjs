// What JavaScript asks of the GPU is told with its bytes, its stream and its time.
import assert from 'node:assert/strict';

import {Device} from '../../../dist/native/device.js';
import {GpuCollection} from '../../../dist/native/gpu_collection.js';

const device = Device.open(0);
const [upload, download] = [device.createStream('upload'), device.createStream('download')];
const memory = device.allocate(1 << 20, upload);
const host = device.allocatePinned(1 << 20);

const collection = await GpuCollection.start();
assert.match(collection.library, /libcupti/);
assert.equal(collection.version, 130001);
const before = performance.now() * 1e6;
upload.copyToDevice(memory, host, {byteLength: 300_000});
await upload.done();
download.copyToHost(host, memory, {byteLength: 70_000});
await download.done();
const after = performance.now() * 1e6;

// CUPTI hands over by itself what has ended.
const taken = collection.take().activities;
while (taken.length < 2) {
  await new Promise((resolve) => setTimeout(resolve, 10));
  taken.push(...collection.take().activities);
}
await collection.stop();
await collection.stop();
taken.push(...collection.take().activities);

const copies = taken.filter(({kind}) => kind === 'copy').sort((left, right) => left.start - right.start);
assert.deepEqual(
  copies.map(({bytes, direction, streamName, name, pageable}) => ({bytes, direction, streamName, name, pageable})),
  [
    {bytes: 300_000, direction: 'toDevice', streamName: 'upload', name: 'copy to device', pageable: false},
    {bytes: 70_000, direction: 'toHost', streamName: 'download', name: 'copy to host', pageable: false},
  ],
);
for (const {start, end} of taken) assert(before <= start && start <= end && end <= after, `${before} ${start} ${end} ${after}`);
assert.deepEqual(collection.take(), {activities: [], steps: [], dropped: 0});

// Another one knows nothing of the first.
{
  const second = await GpuCollection.start({maxActivities: 2});
  for (let i = 0; i < 5; i++) upload.copyToDevice(memory, host, {byteLength: 10 + i});
  await upload.done();
  await second.stop();
  const {activities, dropped} = second.take();
  assert.equal(activities.length, 2);
  assert(dropped >= 3);
  assert.deepEqual(activities.map(({bytes}) => bytes).sort(), [10, 11]);
  assert.deepEqual(collection.take().activities, []);
}
console.log('done');
