import {mkdir, readdir, readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';

import {expect, it} from 'vitest';

import {temporaryFolder} from '../../test/support/temporary_folder.js';
import type {Device} from '../native/device.js';
import type {Progress} from '../progress.js';
import {gpuSpeeds, keptGpuSpeeds} from './measured_speeds.js';

const folder = temporaryFolder();
const gpu = {name: 'NVIDIA H100 80GB HBM3', computeCapability: '9.0'};

/** Copies 64 MiB in a millisecond. */
class FakeDevice {
  measured: number[] = [];
  trimmed = 0;
  #copies = 0;

  constructor(readonly freeBytes: number) {}

  memory = () => ({freeBytes: this.freeBytes, totalBytes: this.freeBytes});
  createStream = () => ({
    copyToDevice: () => this.#copies++,
    record: (event: {at: number}) => (event.at = this.#copies),
    done: async () => {},
    [Symbol.dispose]() {},
  });
  createEvent = () => {
    const event = {at: 0, millisecondsSince: (start: {at: number}) => event.at - start.at};
    return event;
  };
  allocatePinned = () => ({[Symbol.dispose]() {}});
  allocate = () => ({[Symbol.dispose]() {}});
  weightReadsPerSecond = (bytes: number) => {
    this.measured.push(bytes);
    return 3e12;
  };
  trimDevice = () => ++this.trimmed;
}
const speedsOf = (
  device: FakeDevice,
  cache: string,
  changes: {again?: boolean; signal?: AbortSignal; onProgress?: (step: Progress) => void} = {},
) => gpuSpeeds(device as unknown as Device, {folder: folder(cache), gpu, again: false, ...changes});

it('are measured once for a kind of GPU, and again when asked to', async () => {
  const device = new FakeDevice(80e9);
  const steps: Progress[] = [];
  const speeds = await speedsOf(device, 'once', {onProgress: (step) => steps.push(step)});
  expect(speeds).toEqual({weightReads: 3e12, hostToDevice: 1000 * 2 ** 26});
  expect(await keptGpuSpeeds({folder: folder('once'), gpu})).toEqual(speeds);
  expect(await keptGpuSpeeds({folder: folder('once'), gpu: {...gpu, name: 'another'}})).toBeUndefined();
  expect(device).toMatchObject({measured: [2 ** 30], trimmed: 1});
  expect(steps.map(({phase, done}) => [phase, done])).toEqual([
    ['measure', 0],
    ['measure', 1],
    ['measure', 2],
  ]);
  const file = join(folder('once'), 'speeds', 'nvidia-h100-80gb-hbm3-9.0.json');
  expect(JSON.parse(await readFile(file, 'utf8'))).toMatchObject({formatVersion: 1, ...speeds});
  expect(await speedsOf(device, 'once')).toEqual(speeds);
  expect(device.measured).toHaveLength(1);
  await speedsOf(device, 'once', {again: true});
  expect(device.measured).toHaveLength(2);
});

it('take a part of little memory', async () => {
  const device = new FakeDevice(800);
  await speedsOf(device, 'little');
  expect(device.measured).toEqual([100]);
});

it.each(['', '{', '{"formatVersion": 2, "weightReads": 1, "hostToDevice": 1}', '{"formatVersion": 1, "weightReads": "fast"}'])(
  'do not trust %j',
  async (text) => {
    const cache = `bad-${text.length}`;
    await mkdir(join(folder(cache), 'speeds'), {recursive: true});
    await writeFile(join(folder(cache), 'speeds', 'nvidia-h100-80gb-hbm3-9.0.json'), text);
    const device = new FakeDevice(80e9);
    await speedsOf(device, cache);
    expect(device.measured).toHaveLength(1);
  },
);

it('are not kept when the measurement is stopped', async () => {
  await expect(speedsOf(new FakeDevice(80e9), 'stopped', {signal: AbortSignal.abort()})).rejects.toMatchObject({code: 'ERR_ABORTED'});
  await expect(readdir(folder('stopped'))).rejects.toMatchObject({code: 'ENOENT'});
});
