// On a real GPU: the addon sees it, and bytes cross to it and back.
import assert from 'node:assert/strict';
import {spawnSync} from 'node:child_process';
import {randomFillSync} from 'node:crypto';
import {test} from 'node:test';
import {fileURLToPath} from 'node:url';

import {inspect} from '../../dist/inspect.js';
import {Device} from '../../dist/native/device.js';

test('inspect names the card, the driver and TensorRT', async (t) => {
  const {driver, devices, tensorrt} = await inspect();
  t.diagnostic(JSON.stringify({driver, devices, tensorrt}));
  assert.match(driver.version ?? '', /^\d+\.\d+/);
  assert(Number(driver.cuda) >= 12);
  assert(devices.length > 0);
  for (const {name, computeCapability, memory} of devices) {
    assert.match(name, /\S/);
    assert.match(computeCapability, /^\d+\.\d+$/);
    assert(memory > 2 ** 30);
  }
  const [major, minor] = (tensorrt.version ?? assert.fail(tensorrt.reason)).split('.').map(Number);
  assert.equal(major, 10);
  assert(minor >= 6);
  assert.equal(typeof tensorrt.parser, 'string', tensorrt.parser.reason);
});

test('NVML, which needs no CUDA, tells the same GPUs', async (t) => {
  const {requireAddon} = await import('../../dist/native/load.js');
  const models = requireAddon().gpuModels();
  if (models === undefined) return t.skip('there is no NVML here');
  const names = (list) => list.map(({name, compute}) => `${name} ${compute}`).sort();
  const {devices} = await inspect();
  assert.deepEqual(
    names(models.map(({name, computeMajor, computeMinor}) => ({name, compute: `${computeMajor}.${computeMinor}`}))),
    names(devices.map(({name, computeCapability}) => ({name, compute: computeCapability}))),
  );
});

test('random bytes survive the way to the GPU and back, in both kinds of memory', async () => {
  const device = Device.open(0);
  const stream = device.createStream('round trip');
  const bytes = 64 * 2 ** 20 + 13;
  const memory = device.allocate(bytes, stream);
  const source = device.allocatePinned(bytes);
  randomFillSync(new Uint8Array(source.buffer));
  for (const target of [device.allocatePinned(bytes), new ArrayBuffer(bytes)]) {
    stream.copyToDevice(memory, source);
    stream.copyToHost(target, memory);
    await stream.done();
    assert(Buffer.from(target.buffer ?? target).equals(Buffer.from(source.buffer)));
  }
  const pageable = randomFillSync(new Uint8Array(bytes));
  const target = device.allocatePinned(bytes);
  stream.copyToDevice(memory, pageable);
  stream.copyToHost(target, memory);
  await stream.done();
  assert(Buffer.from(target.buffer).equals(Buffer.from(pageable.buffer)));
});

test('running out of device memory is an error that leaves the device usable', () => {
  const device = Device.open(0);
  const stream = device.createStream('out of memory');
  const {totalBytes} = device.memory();
  assert.throws(() => device.allocate(totalBytes * 2, stream), {name: 'CudaError', code: 'ERR_OUT_OF_MEMORY'});
  device.allocate(1 << 20, stream).dispose();
});

for (const name of ['copies', 'dispose', 'collected', 'workers']) {
  test(`the program that tests run on the simulated driver: ${name}`, () => {
    const file = fileURLToPath(new URL(`../e2e/pinned/${name}.mjs`, import.meta.url));
    const {status, stdout, stderr} = spawnSync(process.execPath, ['--expose-gc', file], {encoding: 'utf8'});
    assert.equal(status, 0, stderr);
    assert.equal(stdout.trim(), 'done');
  });
}
