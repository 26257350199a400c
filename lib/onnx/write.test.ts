import {mkdir, readdir, readFile, stat, truncate, writeFile} from 'node:fs/promises';

import {create, fromBinary, toBinary} from '@bufbuild/protobuf';
import {BinaryWriter, WireType} from '@bufbuild/protobuf/wire';
import {describe, expect, it} from 'vitest';

import {temporaryFolder} from '../../test/support/temporary_folder.js';
import {AbortError, FormatError, OptionError} from '../errors.js';
import type {Progress} from '../progress.js';
import {DataType} from './data_type.js';
import {GraphBuilder} from './graph_builder.js';
import {Model} from './model.js';
import {AttributeProtoSchema, GraphProtoSchema, ModelProtoSchema, type TensorProto, TensorProtoSchema} from './onnx_pb.js';
import {readModel} from './read.js';
import {FileSource, type TensorSource} from './tensor_source.js';
import {writeModel} from './write.js';

const inside = temporaryFolder();
let folders = 0;

/** An empty folder's path, and paths in it. */
async function emptyFolder(): Promise<(...parts: string[]) => string> {
  const name = `folder-${folders++}`;
  await mkdir(inside(name));
  return (...parts) => inside(name, ...parts);
}

/** A model with one initializer for each of `sources`: uint8 vectors w0, w1, … */
function modelOf(...sources: (Uint8Array | TensorSource)[]): Model {
  const builder = GraphBuilder.create({name: 'weights', opsets: {'': 21}});
  for (const [index, source] of sources.entries()) {
    builder.initializer(`w${index}`, DataType.UINT8, [source.byteLength], source);
    builder.op('Identity', [`w${index}`], {output: `y${index}`});
    builder.output(`y${index}`, DataType.UINT8, [source.byteLength]);
  }
  return builder.build();
}

function filled(length: number, value: number): Uint8Array {
  return new Uint8Array(length).fill(value);
}

const placeOf = ({externalData}: TensorProto) => Object.fromEntries(externalData.map(({key, value}) => [key, value]));

describe('writeModel', () => {
  it('puts large initializers into the external file, small ones into the model', async () => {
    const path = await emptyFolder();
    await writeModel(modelOf(filled(10, 1), filled(3000, 2), filled(5000, 3)), path('model.onnx'), {externalData: 'model.onnx_data'});
    expect(await readdir(path())).toEqual(['model.onnx', 'model.onnx_data']);
    const model = await readModel(path('model.onnx'));
    expect(model.graph.initializer.map(placeOf)).toEqual([
      {},
      {location: 'model.onnx_data', offset: '0', length: '3000'},
      {location: 'model.onnx_data', offset: '4096', length: '5000'},
    ]);
    expect((await stat(path('model.onnx_data'))).size).toBe(4096 + 5000);
    for (const [index, expected] of [filled(10, 1), filled(3000, 2), filled(5000, 3)].entries()) {
      expect(await model.readTensorData(model.graph.initializer[index]!)).toEqual(expected);
    }
  });

  it('keeps everything in one file without externalData', async () => {
    const path = await emptyFolder();
    await writeModel(modelOf(filled(3000, 2)), path('model.onnx'));
    expect(await readdir(path())).toEqual(['model.onnx']);
    const model = await readModel(path('model.onnx'));
    expect(await model.readTensorData(model.graph.initializer[0]!)).toEqual(filled(3000, 2));
  });

  it('follows threshold and alignment', async () => {
    const path = await emptyFolder();
    await writeModel(modelOf(filled(4, 1), filled(5, 2), filled(6, 3)), path('model.onnx'), {
      externalData: 'w',
      threshold: 5,
      alignment: 16,
    });
    const {graph} = await readModel(path('model.onnx'));
    expect(graph.initializer.map((tensor) => placeOf(tensor).offset)).toEqual([undefined, '0', '16']);
  });

  it('stores a source that two initializers share once', async () => {
    const path = await emptyFolder();
    const source: TensorSource = {
      byteLength: 4096,
      async *chunks() {
        yield filled(4096, 9);
      },
    };
    await writeModel(modelOf(source, source), path('model.onnx'), {externalData: 'w'});
    expect((await stat(path('w'))).size).toBe(4096);
    const model = await readModel(path('model.onnx'));
    for (const tensor of model.graph.initializer) expect(await model.readTensorData(tensor)).toEqual(filled(4096, 9));
  });

  it('copies external data from where a model was read, also over itself', async () => {
    const path = await emptyFolder();
    const options = {externalData: 'w', threshold: 0};
    await writeModel(modelOf(filled(3000, 2), filled(5000, 3)), path('model.onnx'), options);
    const model = await readModel(path('model.onnx'));
    model.graph.initializer.reverse();
    await writeModel(model, path('model.onnx'), options);
    const again = await readModel(path('model.onnx'));
    expect(await again.readTensorData(again.graph.initializer[0]!)).toEqual(filled(5000, 3));
    expect(await again.readTensorData(again.graph.initializer[1]!)).toEqual(filled(3000, 2));
    // The model written is not changed by writing: it still tells where it was read from.
    expect(model.graph.initializer.map((tensor) => placeOf(tensor).offset)).toEqual(['4096', '0']);
  });

  it('keeps fields it does not know, in messages it rewrites too', async () => {
    const path = await emptyFolder();
    const unknown = new BinaryWriter().tag(999, WireType.Varint).uint32(42).finish();
    const withUnknown = <T>(bytes: Uint8Array, parse: (all: Uint8Array) => T): T => parse(Buffer.concat([bytes, unknown]));
    const model = modelOf(filled(3000, 2));
    const tensor = withUnknown(toBinary(TensorProtoSchema, model.graph.initializer[0]!), (all) => fromBinary(TensorProtoSchema, all));
    model.graph.initializer[0] = tensor;
    model.setSource(tensor, {
      byteLength: 3000,
      chunks: async function* () {
        yield filled(3000, 2);
      },
    });
    const proto = withUnknown(toBinary(ModelProtoSchema, model.proto), (all) => fromBinary(ModelProtoSchema, all));
    proto.graph = model.graph;
    const whole = new Model(proto);
    whole.setSource(tensor, model.source(tensor));

    await writeModel(whole, path('model.onnx'), {externalData: 'w'});
    const read = await readModel(path('model.onnx'));
    for (const message of [read.proto, read.graph.initializer[0]!]) {
      expect(message.$unknown?.map(({no, data}) => [no, ...data])).toEqual([[999, 42]]);
    }
  });

  it('takes initializers of nested graphs out, and the bytes of attributes in', async () => {
    const path = await emptyFolder();
    const model = modelOf(filled(1, 1));
    const [initializer, constant] = [5, 6].map((value) =>
      create(TensorProtoSchema, {name: `t${value}`, dims: [2000n], dataType: DataType.UINT8}),
    );
    model.setSource(initializer!, {
      byteLength: 2000,
      chunks: async function* () {
        yield filled(2000, 5);
      },
    });
    model.setSource(constant!, {
      byteLength: 2000,
      chunks: async function* () {
        yield filled(2000, 6);
      },
    });
    const branch = create(GraphProtoSchema, {name: 'branch', initializer: [initializer!]});
    model.graph.node[0]!.attribute.push(
      create(AttributeProtoSchema, {name: 'then_branch', g: branch}),
      create(AttributeProtoSchema, {name: 'value', t: constant!}),
    );
    await writeModel(model, path('model.onnx'), {externalData: 'w'});
    const read = await readModel(path('model.onnx'));
    const [then, value] = read.graph.node[0]!.attribute;
    expect(placeOf(then!.g!.initializer[0]!)).toEqual({location: 'w', offset: '0', length: '2000'});
    expect(await read.readTensorData(then!.g!.initializer[0]!)).toEqual(filled(2000, 5));
    expect(value!.t!.rawData).toEqual(filled(2000, 6));
  });

  it('reports progress in bytes', async () => {
    const path = await emptyFolder();
    const seen: Progress[] = [];
    await writeModel(modelOf(filled(3000, 2), filled(5000, 3)), path('model.onnx'), {
      externalData: 'w',
      onProgress: (each) => seen.push(each),
    });
    expect(seen).toEqual([
      {phase: 'write', done: 3000, total: 8000, unit: 'bytes', detail: 'w0'},
      {phase: 'write', done: 8000, total: 8000, unit: 'bytes', detail: 'w1'},
    ]);
  });
});

describe('beyond 2 GB', () => {
  const GIB = 2 ** 30;
  const heap = () => process.memoryUsage().heapUsed + process.memoryUsage().arrayBuffers;

  it('streams more than memory should hold, in bounded memory', {timeout: 60_000}, async () => {
    const path = await emptyFolder();
    // Holes take no room, and stay holes in the copy; read again and again they come from the system's cache.
    await writeFile(path('source'), '');
    await truncate(path('source'), GIB / 4);
    const parts = Array.from({length: 9}, () => new FileSource(path('source'), 0, GIB / 4));
    const model = modelOf(...parts, filled(2000, 7));
    const before = heap();
    let largest = 0;
    await writeModel(model, path('model.onnx'), {externalData: 'w', onProgress: () => (largest = Math.max(largest, heap() - before))});
    expect(largest).toBeGreaterThan(0);
    expect(largest).toBeLessThan(64 * 2 ** 20);

    const read = await readModel(path('model.onnx'));
    const last = read.graph.initializer.at(-1)!;
    expect(placeOf(last)).toEqual({location: 'w', offset: String(2.25 * GIB), length: '2000'});
    expect(await read.readTensorData(last)).toEqual(filled(2000, 7));
    expect((await stat(path('w'))).blocks * 512).toBeLessThan(2 ** 20);
  });

  it('writes offsets beyond 4 GiB', async () => {
    const path = await emptyFolder();
    await writeModel(modelOf(filled(2000, 1), filled(2000, 2)), path('model.onnx'), {externalData: 'w', alignment: 5 * GIB});
    const model = await readModel(path('model.onnx'));
    expect(placeOf(model.graph.initializer[1]!).offset).toBe(String(5 * GIB));
    expect(await model.readTensorData(model.graph.initializer[1]!)).toEqual(filled(2000, 2));
  });
});

describe('on failure leaves what was there', () => {
  const source = (chunks: () => AsyncIterable<Uint8Array>): TensorSource => ({byteLength: 3000, chunks});

  it.each<[string, TensorSource, string]>([
    [
      'a source that fails midway',
      source(async function* () {
        yield filled(1000, 1);
        throw new Error('the disk is gone');
      }),
      'the disk is gone',
    ],
    [
      'a source that gives too little',
      source(async function* () {
        yield filled(2999, 1);
      }),
      "the source of tensor 'w1' did not give the bytes it promised",
    ],
    [
      'a source that gives too much',
      source(async function* () {
        yield filled(2000, 1);
        yield filled(1001, 1);
      }),
      "the source of tensor 'w1' did not give the bytes it promised",
    ],
  ])('%s', async (_, failing, message) => {
    const path = await emptyFolder();
    await writeFile(path('w'), 'old weights');
    await expect(writeModel(modelOf(filled(2000, 1), failing), path('model.onnx'), {externalData: 'w'})).rejects.toThrow(message);
    expect(await readdir(path())).toEqual(['w']);
    expect(await readFile(path('w'), 'utf8')).toBe('old weights');
  });

  it('a signal, at once and midway; the source is closed', async () => {
    const path = await emptyFolder();
    const controller = new AbortController();
    let closed = false;
    const endless = {
      byteLength: 2 ** 40,
      async *chunks() {
        try {
          for (let count = 0; ; count++) {
            if (count === 3) controller.abort(new Error('enough'));
            yield filled(1000, 1);
          }
        } finally {
          closed = true;
        }
      },
    };
    const writing = writeModel(modelOf(endless), path('model.onnx'), {externalData: 'w', signal: controller.signal});
    await expect(writing).rejects.toMatchObject({name: 'AbortError', code: 'ERR_ABORTED', cause: new Error('enough')});
    expect(closed).toBe(true);
    await expect(writeModel(modelOf(endless), path('model.onnx'), {signal: AbortSignal.abort()})).rejects.toThrow(AbortError);
    expect(await readdir(path())).toEqual([]);
  });

  it('a tensor whose bytes do not fit its shape', async () => {
    const path = await emptyFolder();
    const model = modelOf(filled(2000, 1));
    model.graph.initializer[0]!.dims = [2001n];
    const writing = writeModel(model, path('model.onnx'), {externalData: 'w'});
    await expect(writing).rejects.toThrow(new FormatError('ERR_ONNX', 'weights', "tensor 'w0' has 2000 bytes where its shape needs 2001"));
    expect(await readdir(path())).toEqual([]);
  });

  it('a folder in the place of the model', async () => {
    const path = await emptyFolder();
    await mkdir(path('model.onnx'));
    await expect(writeModel(modelOf(filled(2000, 1)), path('model.onnx'), {externalData: 'w'})).rejects.toThrow(FormatError);
    expect(await readdir(path())).toEqual(['model.onnx']);
  });
});

it.each<[object, string]>([
  [{externalData: ''}, 'externalData must be'],
  [{externalData: '..'}, 'externalData must be'],
  [{externalData: 'sub/w'}, 'externalData must be'],
  [{externalData: 'model.onnx'}, 'externalData must be'],
  [{threshold: -1}, 'threshold must be an integer of at least 0, got -1'],
  [{alignment: 0}, 'alignment must be an integer of at least 1, got 0'],
])('refuses %o', async (options, message) => {
  const path = await emptyFolder();
  const writing = writeModel(modelOf(filled(1, 1)), path('model.onnx'), options);
  await expect(writing).rejects.toThrow(OptionError);
  await expect(writing).rejects.toThrow(message);
  expect(await readdir(path())).toEqual([]);
});
