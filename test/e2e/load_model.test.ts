/** Which backend `loadModel` takes, on the simulated driver and TensorRT. */

import {type LoadOptions, loadModel, type Progress} from 'tensorrt-node';
import {beforeAll, describe, expect, it} from 'vitest';

import {languageModelFolder} from '../support/language_model_folder.js';
import {temporaryFolder} from '../support/temporary_folder.js';
import {runNode} from './helpers/child.js';
import {useSimulatedTensorrt} from './helpers/simulated_tensorrt.js';

const folder = temporaryFolder();
let env: Record<string, string>;

beforeAll(async () => {
  env = {...(await useSimulatedTensorrt()), TENSORRT_NODE_CACHE: folder('cache')};
  process.env.TENSORRT_NODE_CACHE = env.TENSORRT_NODE_CACHE;
  await languageModelFolder(folder('model'));
  await languageModelFolder(folder('odd'), {headDim: 48});
});

describe('auto', () => {
  it('takes TensorRT, which answers as the CPU does', async () => {
    const progress: Progress[] = [];
    await using model = await loadModel(folder('model'), {onProgress: (each) => progress.push(each)});
    await using reference = await loadModel(folder('model'), {backend: 'cpu'});
    expect(model).toMatchObject({backend: 'tensorrt', description: expect.stringMatching(/^TensorRT [\d.]+ on .+, float16$/)});
    expect([...new Set(progress.map(({phase}) => phase))]).toEqual(['load', 'build', 'read', 'capture']);
    const options = {maxNewTokens: 20};
    expect((await model.generateText('the sea', options)).tokens).toEqual((await reference.generateText('the sea', options)).tokens);
  });

  it('takes the CPU for a model that cannot be lowered', async () => {
    await using model = await loadModel(folder('odd'));
    expect(model.backend).toBe('cpu');
    expect(model.description).toMatch(/on the CPU, .* \(not TensorRT: .*heads of 48 elements/);
  });

  it('takes the CPU where the addon has no kernels for the GPU, and says so', async () => {
    const noKernels = {TENSORRT_NODE_SIMULATOR: 'fail=cuModuleLoadData:1:209'};
    const {stdout, stderr} = await script('console.log(model.backend, model.description)', noKernels);
    expect(stderr).toBe('');
    expect(stdout).toMatch(/^cpu .*\(not TensorRT: the addon has no kernels for .*cuModuleLoadData/);
    const asked = await script('', noKernels, "{backend: 'tensorrt'}");
    expect(asked.stderr).toContain('ERR_UNSUPPORTED');
  });

  it('takes the CPU where there is no GPU or TensorRT', async () => {
    for (const missing of <Record<string, string>[]>[{TENSORRT_NODE_CUDA_DRIVER: folder('none.so')}, {TENSORRT_NODE_ADDON: 'off'}]) {
      const {stdout, stderr} = await script('console.log(model.backend)', missing);
      expect({stdout, stderr}).toEqual({stdout: 'cpu\n', stderr: ''});
    }
  });
});

it('says why TensorRT cannot run it, where that was asked for', async () => {
  await expect(loadModel(folder('odd'), {backend: 'tensorrt'})).rejects.toMatchObject({
    code: 'ERR_UNSUPPORTED',
    message: expect.stringMatching(/heads of 48 elements; there are kernels for 64, 80/),
  });
  const {stderr} = await script('', {TENSORRT_NODE_CUDA_DRIVER: folder('none.so')}, "{backend: 'tensorrt'}");
  expect(stderr).toContain('ERR_CUDA');
});

it.each<[keyof LoadOptions, LoadOptions]>([
  ['threads', {backend: 'tensorrt', threads: 2}],
  ['accuracyLevel', {backend: 'tensorrt', accuracyLevel: 0}],
  ['device', {backend: 'cpu', device: 0}],
  ['type', {backend: 'cpu', type: 'float16'}],
  ['type', {type: 'float32' as never}],
  ['dequantize', {dequantize: 'fp16' as never}],
  ['dequantize', {backend: 'cpu', dequantize: true}],
  ['deterministic', {deterministic: 1 as never}],
  ['deterministic', {backend: 'cpu', deterministic: 'yes' as never}],
  ['kvCacheType', {kvCacheType: 'fp4' as never}],
  ['device', {device: 99}],
])('names %s where it does not fit: %o', async (option, options) => {
  await expect(loadModel(folder('model'), options)).rejects.toMatchObject({name: 'OptionError', option});
});

it('computes in bfloat16 where that is asked for', async () => {
  await using model = await loadModel(folder('model'), {type: 'bfloat16'});
  expect(model.description).toMatch(/, bfloat16$/);
  expect((await model.generateText('the sea', {maxNewTokens: 3})).tokens).toHaveLength(3);
});

it('decodes deterministically on either backend', async () => {
  const answers = [];
  for (const backend of ['tensorrt', 'cpu'] as const) {
    await using model = await loadModel(folder('model'), {backend, deterministic: true});
    answers.push((await model.generateText('the sea', {maxNewTokens: 8})).tokens);
  }
  expect(answers[0]).toEqual(answers[1]);
});

it('keeps the process alive for a reply, and not without one', async () => {
  const reply = "model.generateText('the sea', {maxNewTokens: 20}).then(({tokens}) => console.log(tokens.length))";
  expect(await script(reply)).toMatchObject({status: 0, stdout: '20\n', stderr: ''});
  expect(await script("for await (const _ of model.generate('the sea', {maxNewTokens: 20})) process.exit(3)")).toMatchObject({
    status: 3,
    stderr: '',
  });
});

/** A process that loads `model` and does not dispose of it. */
function script(body: string, changes: Record<string, string> = {}, options = '{}') {
  const load = `import {loadModel} from 'tensorrt-node'; const model = await loadModel(${JSON.stringify(folder('model'))}, ${options});`;
  return runNode(['--input-type=module', '-e', `${load} ${body}`], {...env, ...changes});
}
