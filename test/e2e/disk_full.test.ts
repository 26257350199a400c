/** A disk that is full while weights are written to `offloadFolder`: an error for that model, and the service goes on. */

import {mkdir, readdir} from 'node:fs/promises';

import {loadModel} from 'tensorrt-node';
import {beforeAll, expect, it} from 'vitest';

import {languageModelFolder} from '../support/language_model_folder.js';
import {temporaryFolder} from '../support/temporary_folder.js';
import {projectFile, run} from './helpers/child.js';
import {useSimulatedTensorrt} from './helpers/simulated_tensorrt.js';

const folder = temporaryFolder();
const OPTIONS = {backend: 'tensorrt', maxContext: 64, maxBatch: 1} as const;

beforeAll(async () => {
  await useSimulatedTensorrt();
  process.env.TENSORRT_NODE_CACHE = folder('cache');
  await languageModelFolder(folder('model'), {layerCount: 6});
  await mkdir(folder('offload'));
  // Its engines are in the cache from here on.
  await using _ = await loadModel(folder('model'), OPTIONS);
});

it('is a typed error of that load, leaves nothing behind, and other models serve', async () => {
  // Files may have 4 KiB, as on a disk that has no more.
  const {status, stdout, stderr} = await run('sh', [
    '-c',
    'ulimit -f 8; exec "$0" "$@"',
    process.execPath,
    '--input-type=module',
    '--eval',
    `import {loadModel} from ${JSON.stringify(projectFile('dist/index.js'))};
     const source = ${JSON.stringify(folder('model'))};
     const options = ${JSON.stringify(OPTIONS)};
     const model = await loadModel(source, options);
     const before = await model.generateText('the', {maxNewTokens: 4});
     const offloaded = {...options, placement: () => 'disk', offloadFolder: ${JSON.stringify(folder('offload'))}};
     const {name, code, message} = await loadModel(source, offloaded).catch((error) => error);
     const after = await model.generateText('the', {maxNewTokens: 4});
     console.log(JSON.stringify({name, code, message, same: after.text === before.text}));
     await model.dispose();`,
  ]);
  expect({status, stderr}).toEqual({status: 0, stderr: ''});
  expect(JSON.parse(stdout)).toMatchObject({
    name: 'FileError',
    code: 'ERR_FILE',
    message: expect.stringContaining(folder('offload')),
    same: true,
  });
  expect(await readdir(folder('offload'))).toEqual([]);
});

it('with room again, is the same model', async () => {
  await using resident = await loadModel(folder('model'), OPTIONS);
  await using offloaded = await loadModel(folder('model'), {...OPTIONS, placement: () => 'disk', offloadFolder: folder('offload')});
  const ask = {maxNewTokens: 4};
  expect((await offloaded.generateText('the', ask)).text).toBe((await resident.generateText('the', ask)).text);
  expect((await readdir(folder('offload'))).length).toBeGreaterThan(0);
});
