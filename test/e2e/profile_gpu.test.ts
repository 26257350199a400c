/** Traces of a GPU's work, from the simulated CUPTI on the simulated driver. */

import path from 'node:path';

import {beforeAll, expect, it} from 'vitest';

import {summarize} from '../../dist/profile/summary.js';
import {readTrace} from '../../dist/profile/trace_reader.js';
import {languageModelFolder} from '../support/language_model_folder.js';
import {temporaryFolder} from '../support/temporary_folder.js';
import {projectFile, runNode, simulatedDriver} from './helpers/child.js';
import {MAIN} from './helpers/command.js';

const folder = temporaryFolder();
let driver: string;
beforeAll(async () => {
  driver = await simulatedDriver();
});

function profileScript(file: string, ...args: string[]) {
  const script = projectFile('test/e2e/trace/copies.mjs');
  return runNode([MAIN, 'profile', 'script', '--trace', folder(file), script, ...args], {
    TENSORRT_NODE_CUDA_DRIVER: driver,
    TENSORRT_NODE_SIMULATOR: 'operationNs=200000',
    CUPTI_LIBRARY: path.join(path.dirname(driver), 'libcupti.so.13'),
  });
}

it.each([
  ['return', 0],
  ['exit', 3],
  ['throw', 1],
])('a script that ends by %s leaves a trace with each copy, its bytes and its stream', async (ending, status) => {
  const result = await profileScript(`${ending}.json`, '20', ending);
  expect([result.status, result.stdout]).toEqual([status, 'copied\n']);
  const {activities, info, state} = await readTrace(folder(`${ending}.json`));
  expect(state).toMatchObject({ended: true, dropped: 0});
  expect(info).toMatchObject({source: 'CUPTI 130001', device: expect.any(String)});
  const copies = activities.filter(({kind}) => kind === 'copy').sort((a, b) => a.start - b.start);
  expect(copies.map(({streamName, direction, bytes}) => [streamName, direction, bytes])).toEqual(
    Array.from({length: 20}, () => [
      ['upload', 'toDevice', 300_000],
      ['download', 'toHost', 70_000],
    ]).flat(),
  );
  if (ending === 'return') expect(result.stderr).toMatch(/to the device +20 +6\.0 MB .*\nto the host +20 +1\.4 MB /);
});

it.each([
  ['each launch of a graph as one', [], 'graph'],
  ['the kernels of graphs one by one', ['--graph-nodes'], 'kernel'],
])('generating tells of the request, the host and the GPU: %s', async (name, flags, kind) => {
  const model = folder(`model ${kind}`);
  await languageModelFolder(model);
  const file = folder(`${name}.json`);
  const command = ['profile', 'generate', model, 'hello', '--raw', '-n', '12', '--backend', 'tensorrt', '--trace', file, ...flags];
  const {status, stderr} = await runNode([MAIN, ...command], {
    TENSORRT_NODE_CUDA_DRIVER: driver,
    TENSORRT_NODE_SIMULATOR: 'operationNs=2000',
    TENSORRT_ROOT: path.dirname(driver),
    TENSORRT_NODE_CACHE: folder('cache'),
    CUPTI_LIBRARY: path.join(path.dirname(driver), 'libcupti.so.13'),
  });
  expect([status, stderr]).toEqual([0, expect.stringContaining('% busy')]);
  const {activities, hostEvents} = await readTrace(file);
  const {bound, kernels} = summarize({info: {}, activities, hostEvents});
  expect(kernels.length).toBeGreaterThan(0);
  expect(bound).toBeDefined();
  expect(activities.filter((each) => each.graph !== undefined && each.kind === kind).length).toBeGreaterThan(0);
  const request = hostEvents.filter(({track}) => track === 'request 1');
  expect(request.map((each) => each.name)).toEqual(['request 1', 'queue', 'prefill', 'decode']);
  // One clock for both: the GPU worked while the request ran.
  const during = activities.filter(({start, end}) => start >= request[0]!.start && end <= request[0]!.end + 1e6);
  expect(during.length).toBeGreaterThan(12);
});

it('a script that is not there is told', async () => {
  const {status, stderr} = await runNode([MAIN, 'profile', 'script', '--trace', folder('none.json'), folder('none.mjs')]);
  expect(status).toBe(1);
  expect(stderr).toContain('none.mjs');
});
