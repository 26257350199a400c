/** What a backend with a scheduler of its own tells metrics, on the simulated driver and TensorRT. */

import {loadModel, metrics} from 'tensorrt-node';
import {beforeAll, expect, it} from 'vitest';

import {type ExposedFamily, parseExposition} from '../support/exposition.js';
import {languageModelFolder} from '../support/language_model_folder.js';
import {temporaryFolder} from '../support/temporary_folder.js';
import {useSimulatedTensorrt} from './helpers/simulated_tensorrt.js';

const folder = temporaryFolder();

beforeAll(async () => {
  await useSimulatedTensorrt();
  process.env.TENSORRT_NODE_CACHE = folder('cache');
  await languageModelFolder(folder('model'));
  await languageModelFolder(folder('deep'), {layerCount: 6});
});

function samplesOf(families: Map<string, ExposedFamily>, name: string, model: string): Record<string, number> {
  const own = families.get(`tensorrt_node_${name}`)!.samples.filter(({labels}) => labels.model === model && labels.le === undefined);
  return Object.fromEntries(
    own.map(({name: sample, labels: {model: _, ...labels}, value}) => [
      [sample.slice('tensorrt_node_'.length), ...Object.values(labels)].join(' '),
      value,
    ]),
  );
}

const read = async () => parseExposition(await metrics().text(), 'prometheus');

it('has steps, their rows, and the memory of the GPU, of a model that was there before it was asked for', async () => {
  await using model = await loadModel(folder('model'), {backend: 'tensorrt', maxContext: 128, maxBatch: 4, name: 'resident'});
  await model.generateText('before', {maxNewTokens: 4});
  metrics();
  await Promise.all(['a', 'b', 'c'].map((prompt) => model.generateText(prompt, {maxNewTokens: 60})));
  const families = await read();
  const steps = samplesOf(families, 'steps_total', 'resident');
  expect(steps['steps_total decode']).toBeGreaterThan(59);
  expect(steps['steps_total prefill']).toBeGreaterThan(1);
  const rows = samplesOf(families, 'batch_rows', 'resident');
  expect(rows.batch_rows_count).toBeGreaterThan(0);
  expect(rows.batch_rows_count).toBeLessThanOrEqual(steps['steps_total decode']!);
  expect(rows.batch_rows_sum! / rows.batch_rows_count!).toBeGreaterThanOrEqual(1);
  expect(rows.batch_rows_sum! / rows.batch_rows_count!).toBeLessThanOrEqual(3);
  const seconds = samplesOf(families, 'step_seconds', 'resident');
  expect(seconds['step_seconds_count decode']).toBe(rows.batch_rows_count);
  expect(seconds['step_seconds_count prefill']).toBeGreaterThan(0);
  expect(seconds['step_seconds_sum decode']).toBeGreaterThan(0);
  expect(samplesOf(families, 'weights_wait_seconds', 'resident')).toMatchObject({weights_wait_seconds_count: 0});
  expect(samplesOf(families, 'slots', 'resident')).toEqual({slots: 4});
  expect(samplesOf(families, 'requests_total', 'resident')['requests_total length']).toBe(3);
  expect(samplesOf(families, 'memory_bytes', 'resident')['memory_bytes weights gpu']).toBeGreaterThan(0);
});

it('has what steps waited for, of a model whose weights move', async () => {
  metrics();
  await using model = await loadModel(folder('deep'), {
    backend: 'tensorrt',
    maxContext: 128,
    maxBatch: 2,
    name: 'moving',
    placement: () => 'ram',
  });
  await model.generateText('a', {maxNewTokens: 40});
  const families = await read();
  const {weights_wait_seconds_count: count} = samplesOf(families, 'weights_wait_seconds', 'moving');
  expect(count).toBeGreaterThan(0);
  const steps = samplesOf(families, 'step_seconds', 'moving');
  expect(count).toBe(steps['step_seconds_count prefill']! + steps['step_seconds_count decode']!);
  expect(samplesOf(families, 'weight_copied_bytes_total', 'moving').weight_copied_bytes_total).toBeGreaterThan(0);
  expect(Object.keys(samplesOf(families, 'weight_wait_seconds_total', 'moving'))).toHaveLength(3);
  expect(samplesOf(families, 'memory_bytes', 'moving')['memory_bytes weights pinned']).toBeGreaterThan(0);
});

it('forgets the counts of a model that was disposed of, and keeps what its requests took', async () => {
  const families = await read();
  expect(samplesOf(families, 'slots', 'resident')).toEqual({});
  expect(samplesOf(families, 'memory_bytes', 'resident')).toEqual({});
  expect(samplesOf(families, 'requests_total', 'resident')['requests_total length']).toBe(3);
});
