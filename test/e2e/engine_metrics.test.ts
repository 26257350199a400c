/** Runs of engines in metrics, from when somebody asks. */

import {Engine, metrics} from 'tensorrt-node';
import {expect, it} from 'vitest';

import {writeModel} from '../../lib/onnx/write.js';
import {affine} from '../support/engine_models.js';
import {parseExposition} from '../support/exposition.js';
import {temporaryFolder} from '../support/temporary_folder.js';

const folder = temporaryFolder();

/** Of the one engine. */
async function read(family: string, part = ''): Promise<number | undefined> {
  const samples = parseExposition(await metrics().text(), 'prometheus').get(`tensorrt_node_${family}`)?.samples ?? [];
  return samples.find(({labels, name}) => labels.engine === 'affine.onnx' && name.endsWith(`${family}${part}`))?.value;
}

it('are counted with their time, failures, and how many wait, by the name of the engine', async () => {
  await writeModel(affine(), folder('affine.onnx'));
  await using engine = await Engine.load(folder('affine.onnx'), {threads: 1});
  const x = {type: 'float32', dims: [1, 4], data: Float32Array.of(1, 2, 3, 4)} as const;
  await engine.run({x});
  expect(await read('engine_run_seconds', '_count')).toBe(0);

  using binding = engine.bind({x: [1, 4]});
  const runs = [engine.run({x}), engine.run({x}), engine.run({x}), binding.run()];
  await expect(binding.run()).rejects.toMatchObject({code: 'ERR_BUSY'});
  expect(await read('engine_runs_waiting')).toBeLessThanOrEqual(2);
  await Promise.all(runs);
  const aborted = engine.run({x}, {signal: AbortSignal.abort()});
  await expect(aborted).rejects.toMatchObject({code: 'ERR_ABORTED'});
  expect(await read('engine_run_seconds', '_count')).toBe(4);
  expect(await read('engine_run_seconds', '_sum')).toBeGreaterThan(0);
  // One that never began is none.
  expect(await read('engine_run_failures_total')).toBe(1);
  expect(await read('engine_runs_under_way')).toBe(0);
  expect(await read('engine_runs_waiting')).toBe(0);
});
