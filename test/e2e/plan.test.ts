/** Plans of language models: for a GPU that is not here, and for the simulated one, where a plan is then loaded. */

import {readdir} from 'node:fs/promises';

import {buildModel, loadModel, planModel, setMemoryBudget} from 'tensorrt-node';
import {beforeAll, describe, expect, it} from 'vitest';

import {languageModelFolder} from '../support/language_model_folder.js';
import {temporaryFolder} from '../support/temporary_folder.js';
import {command} from './helpers/command.js';
import {useSimulatedTensorrt} from './helpers/simulated_tensorrt.js';

const folder = temporaryFolder();
const model = () => folder('chat');
const MACHINE = ['--gpu-memory', '4GiB', '--ram', '1GiB'];

beforeAll(async () => {
  await useSimulatedTensorrt();
  process.env.TENSORRT_NODE_CACHE = folder('cache');
  await languageModelFolder(model(), {layerCount: 6, externalData: 'model.data'});
});

describe('tensorrt-node plan', () => {
  it('needs no GPU where one is described', async () => {
    const {code, stdout, stderr} = await command(['plan', model(), ...MACHINE, '--context', '128', '--batch', '2']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^weights +where +each +together\nprologue +VRAM/);
    expect(stdout).toMatch(/^layer 0 to 5 +VRAM/m);
    expect(stdout).toMatch(/^one stream +\d+ tok\/s {2}predicted$/m);
    expect(stdout).toMatch(/^reads of weights +3\.0 TB\/s, assumed$/m);
    expect(stdout).toMatch(/^ +256 .* 6 of 6/m);
    expect(stderr).toContain('6 layers, float16, for 2 requests of 128 tokens');
    expect(stderr).toContain('speeds are those of an H100');
  });

  it('writes JSON, with each block', async () => {
    const {code, stdout} = await command(['plan', model(), ...MACHINE, '--placement', 'gpu=1GiB,ram=0B', '--json']);
    expect(code).toBe(0);
    const {blocks, gpu} = JSON.parse(stdout);
    expect(blocks[3]).toEqual({name: 'layer 2', layer: 2, tier: 'gpu', bytes: expect.any(Number)});
    expect(gpu).toMatchObject({totalBytes: 4 * 2 ** 30, scratch: 'estimated'});
  });

  it('says what fits where the asked for does not', async () => {
    const {code, stderr, stdout} = await command(['plan', model(), ...MACHINE, '--placement', 'gpu=1kB']);
    expect({code, stdout}).toEqual({code: 1, stdout: ''});
    expect(stderr).toMatch(/^tensorrt-node: .*it fits with placement: \{'gpu':'\d+MiB'\}.*\[ERR_DOES_NOT_FIT\]\n$/);
  });

  it.each([
    [['--placement', 'vram=3'], 2, '--placement vram=3 is neither auto nor limits'],
    [['--gpu-memory', 'lots'], 2, 'gpuMemory must be bytes'],
    [['--context', '10000'], 2, 'maxContext must be at most 256'],
    [['--measure'], 2, 'measure must be left out with gpuMemory'],
  ])('refuses %j', async (flags, code, message) => {
    const result = await command(['plan', model(), ...MACHINE, ...flags]);
    expect(result).toMatchObject({code, stdout: '', stderr: expect.stringContaining(message)});
  });
});

describe('on a GPU', () => {
  it('measures it once', async () => {
    const first = await planModel(model());
    expect(first.gpu.name).toBeDefined();
    expect(first.speeds).toMatchObject({weightReads: {source: 'measured'}, hostToDevice: {source: 'measured'}});
    expect(await readdir(folder('cache', 'speeds'))).toHaveLength(1);
    expect((await planModel(model())).speeds).toEqual(first.speeds);
  });

  it('knows from an engine folder what engines compute in', async () => {
    await buildModel(model(), {output: folder('engines'), maxContext: 128, maxBatch: 2});
    const plan = await planModel(folder('engines'));
    expect(plan).toMatchObject({maxContext: 128, maxBatch: 2, gpu: {scratch: 'known'}});
  });

  it('refuses to load what does not fit, before anything is built', async () => {
    const phases: string[] = [];
    const loading = loadModel(model(), {backend: 'tensorrt', placement: {gpu: '1kB'}, onProgress: ({phase}) => phases.push(phase)});
    await expect(loading).rejects.toMatchObject({code: 'ERR_DOES_NOT_FIT', nearest: {placement: {gpu: expect.any(String)}}});
    expect(phases).not.toContain('build');
  });

  it('plans and loads with what is left of a budget', async () => {
    const limits = {backend: 'tensorrt', maxContext: 128, maxBatch: 2} as const;
    setMemoryBudget({gpu: '64MiB'});
    try {
      const {gpu} = await planModel(model(), {maxContext: 128, maxBatch: 2});
      expect(gpu.modelBytes - gpu.runtimeBytes).toBeLessThan(64 * 2 ** 20);
      await using first = await loadModel(model(), limits);
      setMemoryBudget({gpu: '1MiB'});
      await expect(loadModel(model(), limits)).rejects.toMatchObject({code: 'ERR_DOES_NOT_FIT', memory: 'gpu'});
      expect((await first.generateText('the sea', {maxNewTokens: 3})).tokens).toHaveLength(3);
    } finally {
      setMemoryBudget({});
    }
    await using again = await loadModel(model(), limits);
    expect(again.backend).toBe('tensorrt');
  });

  it.each(['ram', 'disk'] as const)('answers the same with layers in %s', async (tier) => {
    const limits = {maxContext: 128, maxBatch: 2} as const;
    const reply = async (placement: 'auto' | (() => 'ram' | 'disk')) => {
      await using loaded = await loadModel(model(), {backend: 'tensorrt', ...limits, placement});
      const {tokens} = await loaded.generateText('the sea', {maxNewTokens: 8});
      return tokens;
    };
    expect(await reply(() => tier)).toEqual(await reply('auto'));
  });
});

it('refuses placements for the CPU', async () => {
  await expect(loadModel(model(), {backend: 'cpu', placement: 'auto'})).rejects.toThrow("placement must be left out with backend: 'cpu'");
});
