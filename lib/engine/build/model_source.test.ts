import {mkdir, mkdtemp, readFile, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {afterEach, beforeEach, describe, expect, it} from 'vitest';

import {affine} from '../../../test/support/engine_models.js';
import {DataType} from '../../onnx/data_type.js';
import {GraphBuilder} from '../../onnx/graph_builder.js';
import type {Model} from '../../onnx/model.js';
import {writeModel} from '../../onnx/write.js';
import type {Progress} from '../../progress.js';
import {hashModel, openModel} from './model_source.js';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tensorrt-node-model-'));
});
afterEach(() => rm(folder, {recursive: true}));

const scratch = async () => join(folder, 'scratch');
const open = (model: string | Uint8Array | Model) => openModel(model, scratch, undefined);

async function written(name: string, model = affine(), externalData?: string): Promise<string> {
  const path = join(folder, name);
  await writeModel(model, path, {externalData, threshold: 0});
  return path;
}

describe('openModel', () => {
  it('takes a file as it is, and writes bytes and models down', async () => {
    await mkdir(await scratch());
    const path = await written('net.onnx');
    expect(await open(path)).toMatchObject({path, isFile: true, name: 'net', inputs: [{name: 'x', type: 'float32', dims: ['n', 4]}]});
    const copy = join(folder, 'scratch', 'model.onnx');
    const bytes = await readFile(path);
    expect(await open(bytes)).toMatchObject({path: copy, isFile: false, name: 'affine'});
    expect(await readFile(copy)).toEqual(bytes);
    expect(await open(affine())).toMatchObject({path: copy, isFile: false, name: 'affine', inputs: [{name: 'x'}]});
  });

  it('leaves out inputs that an initializer gives a value', async () => {
    const model = affine();
    const weights = model.graph.initializer[0]!.name;
    model.graph.input.push({...model.graph.input[0]!, name: weights});
    expect((await open(await written('net.onnx', model))).inputs.map(({name}) => name)).toEqual(['x']);
  });

  it("knows nothing of a dimension that is called '?'", async () => {
    const model = GraphBuilder.create({name: 'paddle', opsets: {'': 17}});
    model.op('Relu', [model.input('x', DataType.FLOAT, ['?', 3, '?', 'w'])], {output: 'y'});
    model.output('y', DataType.FLOAT, ['?', 3, '?', 'w']);
    expect((await open(await written('paddle.onnx', model.build()))).inputs).toMatchObject([{dims: ['', 3, '', 'w']}]);
  });

  it.each<[string, unknown, object]>([
    ['nothing', undefined, {code: 'ERR_OPTION', option: 'model'}],
    ['an empty path', '', {code: 'ERR_OPTION', option: 'model'}],
    ['a path with a zero', 'a\0b', {code: 'ERR_OPTION', option: 'model'}],
    ['an object', {graph: {}}, {code: 'ERR_OPTION', option: 'model'}],
    ['a file that is not there', '/nonexistent.onnx', {code: 'ERR_NOT_FOUND'}],
    ['a folder', '/', {code: 'ERR_ONNX'}],
    ['other bytes', Uint8Array.of(1, 2, 3), {code: 'ERR_ONNX'}],
  ])('refuses %s', async (_name, model, error) => {
    await expect(open(model as string)).rejects.toMatchObject(error);
  });

  it('refuses bytes whose weights are elsewhere', async () => {
    const path = await written('net.onnx', affine(), 'net.data');
    await expect(open(await readFile(path))).rejects.toMatchObject({code: 'ERR_ONNX', hint: 'give the path of the file'});
  });

  it('refuses inputs that TensorRT cannot take', async () => {
    const text = GraphBuilder.create({name: 'text', opsets: {'': 17}});
    text.op('Identity', [text.input('words', DataType.STRING, [1])], {output: 'y'});
    text.output('y', DataType.STRING, [1]);
    await expect(open(await written('text.onnx', text.build()))).rejects.toMatchObject({
      code: 'ERR_UNSUPPORTED',
      message: expect.stringContaining("input 'words' is STRING"),
    });
  });
});

describe('hashModel', () => {
  const hash = async (path: string) => hashModel(await open(path), undefined, undefined);

  it('depends on the file and on its external data, and says how far it is', async () => {
    const path = await written('net.onnx', affine(), 'net.data');
    const first = await hash(path);
    expect(await hash(path)).toBe(first);
    const data = await readFile(join(folder, 'net.data'));
    data[0]! ^= 1;
    await writeFile(join(folder, 'net.data'), data);
    const second = await hash(path);
    const third = await hash(await written('other.onnx', affine(Array(12).fill(1))));
    expect(new Set([first, second, third]).size).toBe(3);
    const progress: Progress[] = [];
    await hashModel(await open(path), (each) => progress.push(each), undefined);
    const total = (await readFile(path)).byteLength + data.byteLength;
    expect(progress.at(-1)).toEqual({phase: 'hash', done: total, total, unit: 'bytes', detail: 'net.data'});
  });

  it('ends with its signal', async () => {
    const source = await open(await written('net.onnx'));
    await expect(hashModel(source, undefined, AbortSignal.abort())).rejects.toMatchObject({code: 'ERR_ABORTED'});
  });
});
