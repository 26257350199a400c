import {beforeAll, describe, expect, it} from 'vitest';

import {languageModelFolder} from '../../test/support/language_model_folder.js';
import {temporaryFolder} from '../../test/support/temporary_folder.js';
import {planModel} from './plan_model.js';

const folder = temporaryFolder();
const model = () => folder('chat');
beforeAll(() => languageModelFolder(model(), {layerCount: 6, externalData: 'model.data'}));
const MACHINE = {gpuMemory: '4GiB', ram: '1GiB'} as const;

describe('planModel', () => {
  it('places every block, and adds up', async () => {
    const plan = await planModel(model(), MACHINE);
    const layers = Array.from({length: 6}, (_, layer) => `layer ${layer}`);
    expect(plan.blocks.map(({name}) => name)).toEqual(['prologue', ...layers, 'epilogue', 'shared']);
    expect(new Set(plan.blocks.map(({tier}) => tier))).toEqual(new Set(['gpu']));
    const {weightsBytes, placesBytes, cacheBytes, stepsBytes, scratchBytes, runtimeBytes, modelBytes, ...gpu} = plan.gpu;
    expect(weightsBytes + placesBytes + cacheBytes + stepsBytes + scratchBytes + runtimeBytes).toBe(modelBytes);
    expect(gpu).toEqual({totalBytes: 4 * 2 ** 30, usedBytes: 530 * 2 ** 20, scratch: 'estimated'});
    expect(plan).toMatchObject({maxContext: 256, maxBatch: 8, type: 'float16', layers: 6, ram: {availableBytes: 2 ** 30, pinnedBytes: 0}});
    expect(plan.speeds.weightReads.source).toBe('assumed');
    expect(plan.tokensPerSecond.all).toBeGreaterThan(plan.tokensPerSecond.one);
  });

  it('asks a function, and tells what passes through VRAM', async () => {
    const placement = ({index}: {index: number}) => (['gpu', 'gpu', 'ram', 'disk', 'ram', 'disk'] as const)[index]!;
    const plan = await planModel(model(), {...MACHINE, placement});
    expect(plan.blocks.slice(1, 7).map(({tier}) => tier)).toEqual(['gpu', 'gpu', 'ram', 'disk', 'ram', 'disk']);
    expect(plan).toMatchObject({places: 2, ram: {pinnedBytes: expect.any(Number)}, disk: {stepBytes: expect.any(Number)}});
    // Files hold float32, offloaded weights are halves.
    const offloaded = await planModel(model(), {...MACHINE, placement, offloadFolder: folder('fast')});
    expect(plan.disk.stepBytes / offloaded.disk.stepBytes).toBeCloseTo(2, 1);
    const all = await planModel(model(), MACHINE);
    expect(plan.tokensPerSecond.one).toBeLessThan(all.tokensPerSecond.one);
  });

  it('tells of contexts up to what the model was trained for', async () => {
    const {contexts} = await planModel(model(), {...MACHINE, maxContext: 128});
    expect(contexts.map(({tokens}) => tokens)).toEqual([128, 256]);
    const [short, long] = contexts;
    expect(long!.sequenceBytes).toBe(2 * short!.sequenceBytes);
    expect(long!.fit!.tokensPerSecond).toBeLessThan(short!.fit!.tokensPerSecond);
  });

  it('refuses what does not fit, with what does', async () => {
    await expect(planModel(model(), {...MACHINE, placement: {gpu: '1kB'}})).rejects.toMatchObject({
      code: 'ERR_DOES_NOT_FIT',
      nearest: {placement: {gpu: expect.stringMatching(/^\d+MiB$/)}},
    });
  });

  it.each([
    [{gpuMemory: 'much'}, 'gpuMemory must be bytes'],
    [{ram: -1}, 'ram must be bytes'],
    [{placement: 'fast'}, "placement must be 'auto'"],
    [{maxContext: 257}, 'maxContext must be at most 256'],
    [{threads: 3}, 'options.threads must be one of'],
    [{offloadFolder: ''}, 'offloadFolder must be a path'],
    [{model: 'there'}, "model must be left out where the source is not a decoder's engine folder"],
    [{measure: true}, 'measure must be left out with gpuMemory'],
  ])('refuses %j', async (options, message) => {
    await expect(planModel(model(), {...MACHINE, ...options} as never)).rejects.toThrow(message);
  });

  it('is stopped', async () => {
    await expect(planModel(model(), {...MACHINE, signal: AbortSignal.abort()})).rejects.toMatchObject({code: 'ERR_ABORTED'});
  });
});
