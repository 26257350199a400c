/** The addon's engines as lib/native/engine_addon.ts has them, on the simulated driver and TensorRT. */

import path from 'node:path';

import {beforeAll, describe, expect, it} from 'vitest';

import {program, simulatedDriver} from './helpers/child.js';

let driver: string;
beforeAll(async () => {
  driver = await simulatedDriver();
});

/** Runs a program; anything the simulated driver finds, leaks at exit included, fails it. */
function onSimulator(name: string, settings: {driver?: string; tensorrt?: string; leaks?: boolean} = {}): Promise<string> {
  return program(`engine/${name}.mjs`, {
    TENSORRT_NODE_CUDA_DRIVER: driver,
    TENSORRT_ROOT: path.dirname(driver),
    TENSORRT_NODE_SIMULATOR: `${settings.driver ?? 'operationNs=20000'},report=stderr,leaks=${settings.leaks === false ? 0 : 1},exitCode=7`,
    TENSORRT_NODE_SIMULATOR_TENSORRT: settings.tensorrt ?? '',
  });
}

describe('engines', () => {
  it.each([
    ['run', 'load, describe themselves and run, whatever their shapes depend on'],
    ['bind', 'run on bound memory, with a graph and without'],
    ['cancel', 'give up runs at any moment'],
    ['alive', 'keep the process alive for a run and no longer'],
    ['growth', 'take no memory for ten thousand runs'],
    ['refit', 'take new weights between runs'],
    ['profile_layers', 'tell the times of their layers'],
  ])('%s: %s', async (name) => {
    expect(await onSimulator(name)).toBe('done');
  });

  it.each([20_000, 3_000_000])('survive threads that end in the middle of runs of %i ns', async (ns) => {
    expect(await onSimulator('workers', {driver: `operationNs=${ns}`})).toBe('done');
  });

  // The process's memory is the kernel's to free.
  it('survive process.exit() while layers are timed', async () => {
    expect(await onSimulator('exit_profiling', {leaks: false})).toBe('2,2,2');
  });

  it.each([20_000, 5_000_000])('survive process.exit() in the middle of runs of %i ns', async (ns) => {
    expect(await onSimulator('exit', {driver: `operationNs=${ns}`, leaks: false})).toBe('done');
  });

  it('share what memory there is', async () => {
    expect(await onSimulator('memory', {driver: 'operationNs=20000,deviceBytes=64000000'})).toBe('done');
  });

  it('run where there is no libuv', async () => {
    expect(await onSimulator('no_libuv', {driver: 'operationNs=500000'})).toBe('done');
  });

  it('wait for long runs too', async () => {
    expect(await onSimulator('bind', {driver: 'operationNs=600000'})).toBe('done');
  });
});

describe('errors of engines', () => {
  it('are typed, and spare the engine', async () => {
    const errors = JSON.parse(await onSimulator('errors', {driver: 'operationNs=20000,deviceBytes=16000000'}));
    const refused = {code: 'ERR_TENSORRT', call: 'deserializeCudaEngine', hint: expect.stringContaining('build it again')};
    expect(errors).toMatchObject({
      empty: refused,
      garbage: refused,
      truncated: {...refused, message: expect.stringMatching(/TensorRT 10\.6\.0 refuses the plan:\n.*truncated/)},
      noLibrary: {code: 'ERR_TENSORRT', call: 'dlopen', message: expect.stringContaining('nothing.so')},
      noDevice: {code: 'ERR_CUDA', call: 'cuDeviceGet', message: expect.stringContaining('device 9')},
      noContexts: {code: 'ERR_ADDON', message: 'contexts: expected 1 to 1024'},
      noPlan: {code: 'ERR_ADDON', message: 'plan: expected a Uint8Array'},
      noStreaming: {code: 'ERR_TENSORRT', call: 'setWeightStreamingBudgetV2'},
      noRefit: {code: 'ERR_TENSORRT', message: expect.stringContaining("without 'refit'")},
    });
  });

  it.each([
    ['enqueue=fail', {code: 'ERR_TENSORRT', call: 'enqueueV3'}],
    ['context=fail', {code: 'ERR_TENSORRT', call: 'createExecutionContext'}],
    ['deserialize=fail', {code: 'ERR_TENSORRT', call: 'deserializeCudaEngine'}],
  ])('tell what TensorRT logged: %s', async (tensorrt, expected) => {
    const error = JSON.parse(await onSimulator('first_error', {tensorrt}));
    expect(error).toMatchObject(expected);
    // The log's own words.
    expect(error.message).toContain('\n');
  });

  it.each([
    ['cuGraphLaunch', 12, 700, 'CUDA_ERROR_ILLEGAL_ADDRESS'],
    ['cuMemcpyHtoDAsync_v2', 12, 719, 'CUDA_ERROR_LAUNCH_FAILED'],
    // It is asked without a pause, in warming up too.
    ['cuStreamQuery', 60_000, 700, 'CUDA_ERROR_ILLEGAL_ADDRESS'],
  ])('name the call of the driver: %s', async (call, nth, result, name) => {
    const error = JSON.parse(await onSimulator('driver_error', {driver: `operationNs=20000,fail=${call}:${nth}:${result}`}));
    expect(error).toMatchObject({code: 'ERR_CUDA', call: call.replace(/_v\d$/, ''), result: name});
  });
});
