/** Collecting what the GPU does: the simulated CUPTI on the simulated driver, which also reports misuse and leaks. */

import path from 'node:path';
import {beforeAll, describe, expect, it} from 'vitest';

import {projectFile, runNode, simulatedDriver} from './helpers/child.js';

let driver: string;
beforeAll(async () => {
  driver = await simulatedDriver();
});

/** What a program printed, once it has ended well. */
async function onSimulator(name: string, {args = [] as string[], env = {}, settings = 'operationNs=200000'} = {}): Promise<string> {
  const {status, stdout, stderr} = await runNode([projectFile(`test/e2e/profile/${name}.mjs`), ...args], {
    TENSORRT_NODE_CUDA_DRIVER: driver,
    TENSORRT_NODE_SIMULATOR: `${settings},report=stderr,exitCode=7`,
    CUPTI_LIBRARY: path.join(path.dirname(driver), 'libcupti.so.13'),
    ...env,
  });
  if (status !== 0) throw new Error(`${name} ended with ${status}: ${stderr}`);
  return stdout.trim();
}

describe('a collection', () => {
  it('tells of copies with their bytes, streams and times, and holds no more than it may', async () => {
    expect(await onSimulator('collect')).toBe('done');
  });

  it('ends with the thread that began it, however that ends', async () => {
    expect(await onSimulator('workers')).toBe('done');
  });

  it.each(['exit', 'return'])('does not hold up the end of the process by %s', async (ending) => {
    expect(await onSimulator('exit', {args: [ending]})).toBe('done');
  });
});

describe('errors', () => {
  it('are typed, and leave nothing behind', async () => {
    expect(JSON.parse(await onSimulator('errors'))).toMatchObject({
      badPath: {name: 'OptionError', message: "cuptiPath must be the path of libcupti, got ''"},
      badNodes: {name: 'OptionError', message: "graphNodes must be true or false, got 'all'"},
      badLimit: {name: 'OptionError', message: 'maxActivities must be an integer from 1 to 16777216, got 0'},
      missing: {
        code: 'ERR_UNSUPPORTED',
        message: expect.stringContaining('/no/such/libcupti.so.13'),
        hint: expect.stringContaining('pip install'),
      },
      first: 'none',
      second: {code: 'ERR_BUSY'},
    });
  });

  it('say what to do where the driver lets nobody profile', async () => {
    expect(JSON.parse(await onSimulator('errors', {env: {TENSORRT_NODE_SIMULATOR_CUPTI: 'refuse=35'}})).first).toMatchObject({
      code: 'ERR_UNSUPPORTED',
      message: expect.stringContaining('CUPTI_ERROR_INSUFFICIENT_PRIVILEGES'),
      hint: expect.stringContaining('NVreg_RestrictProfilingToAdminUsers'),
    });
  });
});
