/** Ranges for Nsight Systems: what a tool that hears NVTX is told while a model answers. */

import {readFile} from 'node:fs/promises';
import path from 'node:path';

import {expect, it} from 'vitest';

import {languageModelFolder} from '../support/language_model_folder.js';
import {temporaryFolder} from '../support/temporary_folder.js';
import {runNode, simulatedDriver} from './helpers/child.js';
import {MAIN} from './helpers/command.js';

const folder = temporaryFolder();

it('loads, requests and steps are ranges of one domain, each of which ends', async () => {
  const driver = await simulatedDriver();
  await languageModelFolder(folder('model'));
  const {status} = await runNode([MAIN, 'generate', folder('model'), 'hello', '--raw', '-n', '5', '--backend', 'tensorrt'], {
    TENSORRT_NODE_CUDA_DRIVER: driver,
    TENSORRT_ROOT: path.dirname(driver),
    TENSORRT_NODE_CACHE: folder('cache'),
    NVTX_INJECTION64_PATH: path.join(path.dirname(driver), 'libnvtx_simulated.so'),
    TENSORRT_NODE_SIMULATOR_NVTX: folder('ranges'),
  });
  expect(status).toBe(0);
  const lines = (await readFile(folder('ranges'), 'utf8')).trimEnd().split('\n');
  const told = lines.map((line) => line.split('\t'));
  expect(new Set(told.map(([, domain]) => domain))).toEqual(new Set(['tensorrt-node']));
  const named = told.map(([what, , ...text]) => [what, ...text].join(' ').trim());
  expect(named.filter((each) => !each.startsWith('push decode'))).toEqual([
    ...['push load model', 'pop', 'start request 1', 'push prefill model 5', 'pop'],
    // The prefill chose the first of five.
    ...Array.from({length: 4}, () => 'pop'),
    'end request 1',
  ]);
  expect(named.filter((each) => each === 'push decode model 1')).toHaveLength(4);
});
