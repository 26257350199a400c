/** Memory as the monitor and the command line tell it: of this machine, and of a simulated GPU. */

import {createMemoryMonitor, loadModel} from 'tensorrt-node';
import {beforeAll, describe, expect, it} from 'vitest';

import {Device} from '../../dist/native/device.js';
import {start} from './helpers/command.js';
import {MODEL_FOLDER} from './helpers/model.js';
import {useSimulatedTensorrt} from './helpers/simulated_tensorrt.js';

describe('the monitor', () => {
  beforeAll(async () => {
    await useSimulatedTensorrt();
  });

  it('tells of a GPU that this process uses, and of its pools', async () => {
    const device = Device.open(0);
    const before = device.memory();
    const pinned = device.allocatePinned(2 ** 20);
    using stream = device.createStream('memory');
    const block = device.allocate(2 ** 22, stream);
    using monitor = createMemoryMonitor();
    const {gpus, pinnedBytes, shares, host} = await monitor.read();
    expect(gpus).toMatchObject([
      {ordinal: 0, totalBytes: before.totalBytes, devicePool: {usedBytes: 2 ** 22}, pinnedPool: {usedBytes: 2 ** 20}},
    ]);
    const [gpu] = gpus!;
    expect(gpu!.usedBytes).toBeGreaterThanOrEqual(2 ** 22);
    expect(gpu!.usedBytes + gpu!.freeBytes).toBe(gpu!.totalBytes);
    expect(shares.gpu).toBeCloseTo(gpu!.usedBytes / gpu!.totalBytes);
    expect(pinnedBytes).toBeGreaterThanOrEqual(2 ** 20);
    expect(host.rssBytes).toBeGreaterThan(2 ** 20);
    block.dispose();
    pinned.dispose();
  });

  it('names the models that were loaded, while they are', async () => {
    using monitor = createMemoryMonitor();
    const held = async () => (await monitor.read()).holders;
    const model = await loadModel(MODEL_FOLDER, {backend: 'cpu', maxContext: 64});
    const [holder] = await held();
    expect(holder).toMatchObject({name: 'SmolLM2-135M-Instruct', what: 'weights', where: 'ram'});
    expect(holder!.bytes).toBeGreaterThan(1e8);
    await model.dispose();
    expect(await held()).toEqual([]);
  });
});

describe('tensorrt-node memory', () => {
  it('tells people', async () => {
    const {code, stdout} = await start(['memory'], '').result;
    expect(code).toBe(0);
    expect(stdout).toMatch(/^GPU /m);
    expect(stdout).toMatch(/^RAM .* available$/m);
    expect(stdout).toMatch(/^Process .* resident, .* pinned/m);
  });

  it('tells programs', async () => {
    const {code, stdout} = await start(['memory', '--json'], '').result;
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({host: {rssBytes: expect.any(Number)}, shares: {ram: expect.any(Number)}, holders: []});
  });

  it('goes on until it is interrupted', async () => {
    const command = start(['memory', '--watch', '--interval', '0.1', '--json'], '');
    await command.until('stdout', /\n.*\n.*\n/);
    command.process.kill('SIGINT');
    const {stdout, code} = await command.result;
    expect(code).toBe(130);
    const times = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line).time as number);
    expect([...times].sort((a, b) => a - b)).toEqual(times);
    expect(times.length).toBeGreaterThan(2);
  });

  it.each([
    [['--interval', '5'], '--interval is for --watch'],
    [['--watch', '--interval', '0'], '--interval must be from 0.1'],
  ])('refuses %j', async (flags, message) => {
    const {code, stderr} = await start(['memory', ...flags], '').result;
    expect({code, stderr}).toEqual({code: 2, stderr: expect.stringContaining(message)});
  });
});
