/** The addon's builds and locks as lib/native/engine_addon.ts has them, on the simulated driver and TensorRT. */

import {existsSync} from 'node:fs';
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';

import {beforeAll, describe, expect, it, onTestFinished} from 'vitest';

import {program, projectFile, runNode, simulatedDriver} from './helpers/child.js';

let driver: string;
beforeAll(async () => {
  driver = await simulatedDriver();
});

const environment = (tensorrt = '') => ({
  TENSORRT_NODE_CUDA_DRIVER: driver,
  TENSORRT_ROOT: path.dirname(driver),
  TENSORRT_NODE_SIMULATOR: 'report=stderr,leaks=1,exitCode=7',
  TENSORRT_NODE_SIMULATOR_TENSORRT: tensorrt,
});

describe('builds', () => {
  it.each([
    ['build', 'report progress in order, write what they were asked for, and happen one at a time', ''],
    ['calibrate', 'ask for batches, copy and check them, and end while they wait for one', ''],
    ['workers', 'end with the thread that began them', 'buildSteps=100,buildStepMs=2'],
  ])('%s: %s', async (name, _, tensorrt) => {
    expect(await program(`native_build/${name}.mjs`, environment(tensorrt))).toBe('done');
  });

  it('end with the process', async () => {
    const folder = await mkdtemp(path.join(tmpdir(), 'native-build-'));
    onTestFinished(() => rm(folder, {recursive: true}));
    const TIMINGS = path.join(folder, 'timings');
    const simulator = environment('buildSteps=1000000,buildStepMs=1');
    // The process's memory is the kernel's to free.
    const settings = {...simulator, TENSORRT_NODE_SIMULATOR: 'report=stderr,leaks=0,exitCode=7', TIMINGS};
    expect(await program('native_build/exit.mjs', settings)).toBe('done');
    // Written behind a build that was cancelled: TensorRT was not taken apart under it.
    expect(existsSync(TIMINGS)).toBe(true);
  });

  it.each([
    ['error', /^\[tensorrt\] E .*implementation/m, /\[tensorrt\] [WIV]/],
    ['verbose', /^\[tensorrt\] E .*implementation/m, /\[tensorrt\] X/],
  ])('log on stderr from %s on', async (level, present, absent) => {
    const {stderr} = await runNode([projectFile('test/e2e/native_build/log.mjs'), level], environment('build=fail'));
    expect(stderr).toMatch(present);
    expect(stderr).not.toMatch(absent);
  });
});

it('refuses what it cannot build, and builds the next', async () => {
  const errors = JSON.parse(await program('native_build/errors.mjs', environment()));
  expect(errors).toMatchObject({
    noRequest: {code: 'ERR_ADDON', message: 'expected a request'},
    noListener: {code: 'ERR_ADDON', message: expect.stringContaining('listener')},
    noModel: {code: 'ERR_ADDON', message: 'model: expected a string'},
    noFlags: {code: 'ERR_ADDON', message: 'flags: expected an array'},
    flagNumber: {code: 'ERR_ADDON', message: 'flags: expected an array of strings'},
    device: {code: 'ERR_ADDON', message: 'device: expected an integer'},
    layerType: {code: 'ERR_ADDON', message: 'precision: expected a tensor type'},
    profile: {code: 'ERR_ADDON', message: 'max: expected an array'},
    algorithm: {code: 'ERR_ADDON', message: "algorithm: expected 'entropy2' or 'min-max'"},
    logLevel: {code: 'ERR_ADDON', message: expect.stringContaining('logLevel: expected')},
    noSuchDevice: {code: 'ERR_CUDA', call: 'cuDeviceGet'},
    noLibrary: {code: 'ERR_TENSORRT', call: 'dlopen', message: expect.stringContaining('nothing.so')},
    garbage: {code: 'ERR_TENSORRT', call: 'IParser::parseFromFile', message: expect.stringContaining('not a readable ONNX model')},
    noProfile: {code: 'ERR_TENSORRT', message: expect.stringContaining("input 'x' [-1, 4] is dynamic")},
    unknownFlag: {code: 'ERR_UNSUPPORTED', message: "flag 'fp64' is not known"},
    tooNew: {code: 'ERR_UNSUPPORTED', message: expect.stringContaining('needs TensorRT 10.8 or later; this is 10.6.0')},
    noFolder: {code: 'ENOENT', message: expect.stringContaining('no/model.plan')},
    merge: {code: 'ERR_TENSORRT', message: expect.stringContaining('is missing')},
    mergeNothing: {code: 'ERR_ADDON', message: 'device: expected an integer'},
    lock: {code: 'ENOENT', message: expect.stringMatching(/^ENOENT: .*, open '.*no\/lock'$/)},
  });
});

it('touches nothing of TensorRT without a driver', async () => {
  const settings = {...environment('build=abort'), TENSORRT_NODE_CUDA_DRIVER: '/no/such/driver.so'};
  const {stderr, status} = await runNode([projectFile('test/e2e/native_build/no_driver.mjs')], settings);
  expect(stderr).toBe('');
  expect(status).toBe(0);
});

it('locks files between owners and processes', async () => {
  expect(await program('native_build/locks.mjs', environment())).toBe('done');
});
