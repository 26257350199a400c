import {readdir} from 'node:fs/promises';

import {beforeAll, describe, expect, it} from 'vitest';

import {readNpy, writeNpy} from '../../lib/npy/npy.js';
import {DataType} from '../../lib/onnx/data_type.js';
import {writeModel} from '../../lib/onnx/write.js';
import {affine, affineOf, identity, nonZero, sum} from '../support/engine_models.js';
import {temporaryFolder} from '../support/temporary_folder.js';
import {command} from './helpers/command.js';

const folder = temporaryFolder();
const ALONE = ['--threads', '1'];
const x = {type: 'float32', dims: [2, 4], data: Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8)} as const;

beforeAll(async () => {
  await writeModel(affine(), folder('affine.onnx'));
  await writeModel(nonZero(), folder('non_zero.onnx'));
  await writeModel(identity(DataType.BOOL), folder('bool.onnx'));
  await writeModel(sum(), folder('sum.onnx'));
  await writeNpy(folder('x.npy'), x);
  await writeNpy(folder('wide.npy'), {type: 'float32', dims: [2, 5], data: new Float32Array(10)});
  await writeNpy(folder('bytes.npy'), {type: 'uint8', dims: [1, 3], data: Uint8Array.of(1, 0, 1)});
  await writeNpy(folder('non_zero_x.npy'), {type: 'float32', dims: [2, 3], data: Float32Array.of(0, 5, 0, 1, 0, 2)});
});

describe('run', () => {
  it('reads and writes .npy files, and sums up what came out', async () => {
    const result = await command(['run', folder('affine.onnx'), ...ALONE, '-i', `x=${folder('x.npy')}`, '-o', `y=${folder('y.npy')}`]);
    expect(result).toMatchObject({code: 0, stdout: expect.stringMatching(/^output +type +dims +min +max +mean\ny +float32 +\[2, 3\] /)});
    expect(result.stderr).toContain('ONNX Runtime');
    expect(await readNpy(folder('y.npy'))).toEqual({type: 'float32', dims: [2, 3], data: affineOf(x.data)});
  });

  it('writes every output into a folder, and JSON', async () => {
    const out = folder('out');
    const args = ['run', folder('non_zero.onnx'), ...ALONE, '-i', `x=${folder('non_zero_x.npy')}`, '--output-folder', out, '--json'];
    const {code, stdout} = await command(args);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      backend: 'cpu',
      outputs: [
        {name: 'at', type: 'int64', dims: [2, 3], count: 6, min: 0, max: 2, nan: 0, file: folder('out', 'at.npy')},
        {name: 'twice', type: 'float32', dims: [2, 3], max: 10},
      ],
    });
    expect((await readdir(out)).sort()).toEqual(['at.npy', 'twice.npy']);
    expect((await readNpy(folder('out', 'at.npy'))).data).toEqual(BigInt64Array.of(0n, 1n, 1n, 1n, 0n, 2n));
  });

  it('takes bytes for bool, as their bits are', async () => {
    const {code, stdout} = await command(['run', folder('bool.onnx'), ...ALONE, '-i', `x=${folder('bytes.npy')}`, '--json']);
    expect(code).toBe(0);
    expect(JSON.parse(stdout).outputs).toMatchObject([{type: 'bool', max: 1, mean: 2 / 3}]);
  });

  it.each<[string, () => string[], number, string]>([
    ['no file for an input', () => [folder('affine.onnx')], 2, 'inputs.x must be a tensor, float32 [any, 4]'],
    ['an unknown input', () => [folder('affine.onnx'), '-i', `z=${folder('x.npy')}`], 2, "there is no input 'z'; there are 'x'"],
    [
      'an unknown output',
      () => [folder('affine.onnx'), '-i', `x=${folder('x.npy')}`, '-o', 'z=z.npy'],
      2,
      "there is no output 'z'; there are 'y'",
    ],
    ['another shape', () => [folder('affine.onnx'), '-i', `x=${folder('wide.npy')}`], 2, 'dims[1] 4 and not 5'],
    ['another type', () => [folder('affine.onnx'), '-i', `x=${folder('bytes.npy')}`], 2, "inputs.x.type must be 'float32', got 'uint8'"],
    ['a file that is no .npy', () => [folder('affine.onnx'), '-i', `x=${folder('affine.onnx')}`], 1, '[ERR_NPY]'],
    ['a file that is not there', () => [folder('affine.onnx'), '-i', `x=${folder('gone.npy')}`], 1, '[ERR_NOT_FOUND]'],
    ['an engine that is not there', () => [folder('gone')], 1, '[ERR_NOT_FOUND]'],
    ['an input without a name', () => [folder('affine.onnx'), '-i', 'x.npy'], 2, 'It is not name=value.'],
    ['TensorRT for an ONNX file', () => [folder('affine.onnx'), '--backend', 'tensorrt'], 1, '[ERR_UNSUPPORTED]'],
  ])('ends in a line of words: %s', async (_name, args, code, message) => {
    const result = await command(['run', ...args()]);
    expect(result).toMatchObject({code, stdout: '', stderr: expect.stringContaining(message)});
  });
});

describe('bench', () => {
  it('measures random inputs of a shape, and compares with another model', async () => {
    const args = ['bench', folder('affine.onnx'), ...ALONE, '--shape', 'x=8x4', '--iterations', '10', '--warm-up', '1'];
    const {code, stdout, stderr} = await command([...args, '--compare', folder('affine.onnx')]);
    expect(code).toBe(0);
    expect(stdout.split('\n')).toHaveLength(4);
    expect(stderr).toMatch(/^x: float32 \[8, 4\]$/m);
    expect(stderr).toMatch(/^y: largest difference 0\.00, cosine 1\.000000$/m);
  });

  it('keeps as many runs under way as there are contexts', async () => {
    const args = ['bench', folder('sum.onnx'), ...ALONE, '--contexts', '2', '--mode', 'all', '--iterations', '10', '--json'];
    const {code, stdout} = await command(args);
    expect(code).toBe(0);
    expect(JSON.parse(stdout).results).toMatchObject([
      {mode: 'run', concurrency: 2, iterations: 10},
      {mode: 'bind', concurrency: 2},
      {mode: 'runSync', concurrency: 1},
    ]);
  });

  it.each<[string, string[], string]>([
    ['a dynamic input without a shape', [], "input 'x' is dynamic, [?, 4]: give --shape x=… or --input x=…"],
    ['a shape that is none', ['--shape', 'x=8,4'], '--shape x=8,4 is not like 1x3x224x224'],
    ['a shape of another input', ['--shape', 'z=1'], '--shape z: there is no such input'],
    ['no iterations', ['--shape', 'x=1x4', '--iterations', '0'], 'iterations must be an integer from 1'],
    ['an unknown call', ['--mode', 'fast'], 'Allowed choices are run, bind, runSync, all'],
  ])('ends in a line of words: %s', async (_name, args, message) => {
    const result = await command(['bench', folder('affine.onnx'), ...args]);
    expect(result).toMatchObject({code: 2, stdout: '', stderr: expect.stringContaining(message)});
  });
});

describe('inspect plan', () => {
  it.each<[string, string[], number, string]>([
    ['a folder without a manifest', ['.'], 1, 'manifest.json: no such file'],
    ['nothing', [], 2, "missing required argument 'engine'"],
  ])('ends in a line of words: %s', async (_name, args, code, message) => {
    expect(await command(['inspect', 'plan', ...args])).toMatchObject({code, stdout: '', stderr: expect.stringContaining(message)});
  });
});
