/** Pinned memory as ArrayBuffers, on the simulated driver, which also reports misuse and leaks. */

import {beforeAll, describe, expect, it} from 'vitest';

import {program, simulatedDriver} from './helpers/child.js';

let driver: string;
beforeAll(async () => {
  driver = await simulatedDriver();
});

/** Runs a program; anything the simulated driver finds, leaks at exit included, fails it. */
function onSimulator(name: string, settings = 'operationNs=2000000'): Promise<string> {
  return program(`pinned/${name}.mjs`, {
    TENSORRT_NODE_CUDA_DRIVER: driver,
    TENSORRT_NODE_SIMULATOR: `${settings},report=stderr,leaks=1,exitCode=7`,
  });
}

describe('pinned memory', () => {
  it.each([
    ['copies', 'crosses to the GPU and back while the event loop goes on'],
    ['dispose', 'is detached by dispose and goes back to the pool'],
    ['collected', 'goes back to the pool when JavaScript drops it'],
    ['threads', 'leaves no thread behind with a disposed stream'],
    ['hostile', 'refuses what lib/native would never pass to the addon'],
    ['workers', 'survives twenty threads, however they end'],
  ])('%s: %s', async (name) => {
    expect(await onSimulator(name)).toBe('done');
  });

  it('fails a program that leaks, so that the tests above can', async () => {
    await expect(onSimulator('leak')).rejects.toThrow(/leak: pinned memory/);
  });
});

describe('errors', () => {
  const driverErrors = (settings: string) => onSimulator('errors', settings).then((text) => JSON.parse(text));

  it('are typed, and name the option or the call', async () => {
    const errors = await driverErrors('fail=cuMemHostAlloc:1:2,fail=cuEventSynchronize:1:700');
    expect(errors).toMatchObject({
      noSuchDevice: {name: 'CudaError', code: 'ERR_CUDA', call: 'cuDeviceGet', result: 'CUDA_ERROR_INVALID_DEVICE'},
      badOrdinal: {name: 'OptionError', message: 'ordinal must be an integer from 0 to 1023, got -1'},
      zeroBytes: {name: 'OptionError', option: 'bytes'},
      fraction: {name: 'OptionError', option: 'bytes'},
      text: {name: 'OptionError', option: 'bytes'},
      beyondDevice: {name: 'OptionError', message: 'byteLength must be an integer from 0 to 1000, got 2000'},
      beyondHost: {name: 'OptionError', message: 'byteLength must be an integer from 0 to 100, got 200'},
      beyondPageable: {name: 'OptionError', message: 'byteLength must be an integer from 0 to 50, got 51'},
      negative: {name: 'OptionError', option: 'fromOffset'},
      shared: {name: 'OptionError', message: expect.stringMatching(/^from must be a PinnedBuffer.*got SharedArrayBuffer/s)},
      sharedView: {name: 'OptionError', message: expect.stringMatching(/^to must be a PinnedBuffer.*got Uint8Array/s)},
      noMemory: {name: 'OptionError', message: "from must be a PinnedBuffer, an ArrayBuffer or a view of one, got 'bytes'"},
      disposedBuffer: {code: 'ERR_DISPOSED', message: 'the pinned buffer is disposed'},
      disposedStream: {code: 'ERR_DISPOSED', message: 'the stream is disposed'},
      allocation: {name: 'CudaError', code: 'ERR_OUT_OF_MEMORY', call: 'cuMemHostAlloc'},
      work: {name: 'CudaError', code: 'ERR_CUDA', call: 'cuEventSynchronize', result: 'CUDA_ERROR_ILLEGAL_ADDRESS'},
    });
    expect(errors.work.hint).not.toBe('');
    expect(errors.work.message).toContain(errors.work.hint);
  });

  it('say that there is no GPU', async () => {
    const {device} = await driverErrors('devices=0');
    expect(device).toMatchObject({name: 'CudaError', code: 'ERR_CUDA', message: expect.stringContaining('CUDA_ERROR_NO_DEVICE')});
  });
});
