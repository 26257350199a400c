import {mkdir, symlink, truncate, writeFile} from 'node:fs/promises';
import {join} from 'node:path';

import {create, toBinary} from '@bufbuild/protobuf';
import {BinaryWriter, WireType} from '@bufbuild/protobuf/wire';
import {describe, expect, it} from 'vitest';

import {temporaryFolder} from '../../test/support/temporary_folder.js';
import {AbortError, FormatError, UnsupportedError} from '../errors.js';
import {DataType} from './data_type.js';
import {GraphBuilder} from './graph_builder.js';
import {
  TensorProto_DataLocation as DataLocation,
  type ModelProto,
  ModelProtoSchema,
  StringStringEntryProtoSchema,
  TensorProtoSchema,
} from './onnx_pb.js';
import {readModel} from './read.js';
import {FileSource} from './tensor_source.js';

const inside = temporaryFolder();
let written = 0;

async function write(proto: ModelProto | Uint8Array): Promise<string> {
  const path = inside(`model-${written++}.onnx`);
  await writeFile(path, proto instanceof Uint8Array ? proto : toBinary(ModelProtoSchema, proto));
  return path;
}

/** y = x + w, the weight's bytes in the message. */
function adder(): ModelProto {
  const builder = GraphBuilder.create({name: 'adder', opsets: {'': 21}});
  builder.input('x', DataType.FLOAT, [2, 'n']);
  builder.op('Add', ['x', 'w'], {output: 'y'});
  builder.output('y', DataType.FLOAT, [2, 'n']);
  const {proto} = builder.model;
  proto.graph!.initializer.push(
    create(TensorProtoSchema, {name: 'w', dims: [2n, 1n], dataType: DataType.FLOAT, rawData: new Uint8Array(Float32Array.of(1, 2).buffer)}),
  );
  return proto;
}

/** The same with the weight in another file. */
function external(fields: Record<string, string>): ModelProto {
  const proto = adder();
  proto.graph!.initializer = [
    create(TensorProtoSchema, {
      name: 'w',
      dims: [2n, 1n],
      dataType: DataType.FLOAT,
      dataLocation: DataLocation.EXTERNAL,
      externalData: Object.entries(fields).map(([key, value]) => create(StringStringEntryProtoSchema, {key, value})),
    }),
  ];
  return proto;
}

describe('reads', () => {
  it('a model, its tensors as views on the file', async () => {
    const model = await readModel(await write(adder()));
    const [weight] = model.graph.initializer;
    const bytes = await model.readTensorData(weight!);
    expect([...new Float32Array(bytes.slice().buffer)]).toEqual([1, 2]);
    expect(bytes.buffer).toBe(weight!.rawData.buffer);
  });

  it('external data, left in its file', async () => {
    await writeFile(inside('weights.bin'), new Uint8Array(Float32Array.of(0, 5, 6, 0).buffer));
    const model = await readModel(await write(external({location: 'weights.bin', offset: '4', length: '8'})));
    const [weight] = model.graph.initializer;
    expect(model.source(weight!)).toBeInstanceOf(FileSource);
    expect([...new Float32Array((await model.readTensorData(weight!)).buffer)]).toEqual([5, 6]);
  });

  it('external data beyond 4 GiB', async () => {
    await writeFile(inside('large.bin'), '');
    await truncate(inside('large.bin'), 5 * 2 ** 30);
    const model = await readModel(await write(external({location: 'large.bin', offset: String(5 * 2 ** 30 - 8), length: '8'})));
    expect(await model.readTensorData(model.graph.initializer[0]!)).toEqual(new Uint8Array(8));
  });

  it('a model that a download cache linked into its store', async () => {
    await mkdir(inside('store'));
    await mkdir(inside('snapshot'));
    await writeFile(inside('store', 'b1'), toBinary(ModelProtoSchema, external({location: 'model.data'})));
    await writeFile(inside('store', 'b2'), new Uint8Array(Float32Array.of(7, 8).buffer));
    await symlink(join('..', 'store', 'b1'), inside('snapshot', 'model.onnx'));
    await symlink(join('..', 'store', 'b2'), inside('snapshot', 'model.data'));
    const model = await readModel(inside('snapshot', 'model.onnx'));
    expect([...new Float32Array((await model.readTensorData(model.graph.initializer[0]!)).buffer)]).toEqual([7, 8]);
  });

  it('nodes in any order that has no cycle', async () => {
    const proto = adder();
    const builder = GraphBuilder.create({name: 'chain', opsets: {'': 21}});
    builder.input('x', DataType.FLOAT, [1]);
    builder.op('Relu', ['a'], {output: 'b'});
    builder.op('Relu', ['x'], {output: 'a'});
    builder.output('b', DataType.FLOAT, [1]);
    proto.graph = builder.model.graph;
    await expect(readModel(await write(proto))).resolves.toBeDefined();
  });
});

describe('refuses', () => {
  const changed = (change: (proto: ModelProto) => void): ModelProto => {
    const proto = adder();
    change(proto);
    return proto;
  };

  it.each<[string, ModelProto | Uint8Array, string]>([
    ['no bytes', new Uint8Array(0), 'is not an ONNX model: it has no graph'],
    ['another file', Buffer.from('GGUF\x03\0\0\0 and so on'), 'is not an ONNX model, or it is truncated'],
    ['no graph', changed((proto) => delete proto.graph), 'it has no graph'],
    ['no IR version', changed((proto) => (proto.irVersion = 0n)), 'it has no IR version'],
    ['no operator sets', changed((proto) => (proto.opsetImport = [])), 'imports no operator set'],
    ['an undefined input', changed((proto) => (proto.graph!.node[0]!.input[0] = 'z')), "'z', input of Add 'Add', is not defined"],
    ['an undefined output', changed((proto) => (proto.graph!.output[0]!.name = 'z')), "'z', output of graph 'adder', is not defined"],
    ['a node that takes its own output', changed((proto) => (proto.graph!.node[0]!.input[0] = 'y')), "cycle: Add 'Add' -> Add 'Add'"],
    [
      'a value made twice',
      changed((proto) => (proto.graph!.node[0]!.output[0] = 'x')),
      "'x' is defined twice, the second time by Add 'Add'",
    ],
    ['an initializer twice', changed(({graph}) => graph!.initializer.push(graph!.initializer[0]!)), "'w' is defined twice"],
    ['an input twice', changed(({graph}) => graph!.input.push(graph!.input[0]!)), "'x' is defined twice"],
    [
      'too few bytes',
      changed(({graph}) => (graph!.initializer[0]!.dims = [3n])),
      "tensor 'w' of type FLOAT and shape [3] needs 12 bytes and has 8",
    ],
    ['a negative dimension', changed(({graph}) => (graph!.initializer[0]!.dims = [-2n, -1n])), "tensor 'w' has an absurd shape [-2, -1]"],
    [
      'more elements than there are numbers',
      changed(({graph}) => (graph!.initializer[0]!.dims = [2n ** 40n, 2n ** 40n])),
      "tensor 'w' has an absurd shape",
    ],
    // The product of all these takes minutes, and the test's time is over first.
    [
      'a shape without end',
      changed(({graph}) => (graph!.initializer[0]!.dims = Array(300_000).fill(2n ** 62n))),
      `tensor 'w' has an absurd shape [${Array(8)
        .fill(2n ** 62n)
        .join(', ')}, …]`,
    ],
    ['no data type', changed(({graph}) => (graph!.initializer[0]!.dataType = DataType.UNDEFINED)), "tensor 'w' has no data type"],
  ])('%s', async (_, proto, message) => {
    const path = await write(proto);
    const reading = readModel(path);
    await expect(reading).rejects.toThrow(FormatError);
    await expect(reading).rejects.toThrow(message);
    await expect(reading).rejects.toMatchObject({code: 'ERR_ONNX', path});
  });

  it('a cycle through several nodes, and names them', async () => {
    const builder = GraphBuilder.create({name: 'cyclic', opsets: {'': 21}});
    builder.input('x', DataType.FLOAT, [1]);
    builder.op('Relu', ['x'], {output: 'before', name: 'before'});
    builder.op('Add', ['before', 'c'], {output: 'a', name: 'first'});
    builder.op('Relu', ['a'], {output: 'b', name: 'second'});
    builder.op('Relu', ['b'], {output: 'c', name: 'third'});
    builder.output('c', DataType.FLOAT, [1]);
    await expect(readModel(await write(builder.model.proto))).rejects.toThrow(
      /nodes form a cycle: (Add 'first' -> Relu 'second' -> Relu 'third' -> Add 'first'|Relu 'second' -> .*|Relu 'third' -> .*)/,
    );
  });

  it('a cycle through very many nodes, and names some', async () => {
    const builder = GraphBuilder.create({name: 'cyclic', opsets: {'': 21}});
    const count = 150_000;
    for (let index = 0; index < count; index++) {
      builder.op('Relu', [`v${(index + count - 1) % count}`], {output: `v${index}`, name: `node ${index}`});
    }
    const error = (await readModel(await write(builder.model.proto)).catch((thrown: unknown) => thrown)) as Error;
    expect(error).toMatchObject({code: 'ERR_ONNX'});
    expect(error.message).toMatch(/nodes form a cycle: (Relu 'node \d+' -> ){5}149991 more -> (Relu 'node \d+'( -> )?){5}$/);
  });

  it('a truncated file, wherever it ends', async () => {
    const whole = toBinary(ModelProtoSchema, adder());
    for (let length = 0; length < whole.length; length++) {
      const reading = readModel(await write(whole.subarray(0, length)));
      await expect(reading, `${length} of ${whole.length} bytes`).rejects.toMatchObject({name: 'FormatError', code: 'ERR_ONNX'});
    }
  });

  it('graphs nested without end', async () => {
    let bytes: Uint8Array = new Uint8Array(0);
    for (let depth = 0; depth < 300; depth++) {
      // GraphProto.node / NodeProto.attribute / AttributeProto.g
      for (const field of [6, 5, 1]) bytes = new BinaryWriter().tag(field, WireType.LengthDelimited).bytes(bytes).finish();
    }
    const path = await write(new BinaryWriter().tag(7, WireType.LengthDelimited).bytes(bytes).finish());
    await expect(readModel(path)).rejects.toMatchObject({code: 'ERR_ONNX'});
  });

  it.each([
    ['absolute', '/etc/hostname'],
    ['above the folder', '../weights.bin'],
    ['above the folder by a detour', 'a/../../weights.bin'],
    ['inside after all, but by way of ..', 'a/../weights.bin'],
    ['with a drive', 'C:\\weights.bin'],
    ['with backslashes', '..\\weights.bin'],
    ['of another machine', '\\\\server\\weights.bin'],
    ['with a NUL', 'weights.bin\0'],
  ])('a location that is %s', async (_, location) => {
    const path = await write(external({location}));
    await expect(readModel(path)).rejects.toMatchObject({name: 'FormatError', code: 'ERR_PATH_OUTSIDE', path});
  });

  it('a symbolic link out of the folder, to a file or by way of a folder', async () => {
    await mkdir(inside('elsewhere'), {recursive: true});
    await mkdir(inside('linked'), {recursive: true});
    await writeFile(inside('elsewhere', 'secret.bin'), new Uint8Array(8));
    await symlink(inside('elsewhere', 'secret.bin'), inside('linked', 'weights.bin'));
    await symlink(inside('elsewhere'), inside('linked', 'sub'));
    for (const location of ['weights.bin', 'sub/secret.bin']) {
      const path = inside('linked', 'model.onnx');
      await writeFile(path, toBinary(ModelProtoSchema, external({location})));
      await expect(readModel(path), location).rejects.toMatchObject({code: 'ERR_PATH_OUTSIDE', path});
    }
  });

  it.each<[string, Record<string, string>, string, string]>([
    ['a missing file', {location: 'none.bin'}, 'ERR_NOT_FOUND', "the file of external data 'none.bin' is missing"],
    ['no location', {offset: '0'}, 'ERR_ONNX', 'external data without a location'],
    [
      'an offset beyond the end',
      {location: 'sixteen.bin', offset: '17'},
      'ERR_ONNX',
      "at 17, 8 bytes, beyond the end of 'sixteen.bin' (16 bytes)",
    ],
    [
      'a range beyond the end',
      {location: 'sixteen.bin', offset: '9'},
      'ERR_ONNX',
      "at 9, 8 bytes, beyond the end of 'sixteen.bin' (16 bytes)",
    ],
    ['an offset that wraps around', {location: 'sixteen.bin', offset: '18446744073709551608'}, 'ERR_ONNX', "offset '18446744073709551608'"],
    ['a negative offset', {location: 'sixteen.bin', offset: '-8'}, 'ERR_ONNX', "offset '-8'"],
    ['an offset that is no number', {location: 'sixteen.bin', offset: '0x8'}, 'ERR_ONNX', "offset '0x8'"],
    ['another length', {location: 'sixteen.bin', length: '16'}, 'ERR_ONNX', 'has 16 bytes of external data where its shape [2, 1] needs 8'],
    ['a folder', {location: 'folder'}, 'ERR_ONNX', "has external data in 'folder', which is not a file"],
    ['the model itself', {location: 'self.onnx'}, 'ERR_ONNX', 'has external data in the model file itself'],
  ])('external data with %s', async (_, fields, code, message) => {
    await writeFile(inside('sixteen.bin'), new Uint8Array(16));
    await mkdir(inside('folder'), {recursive: true});
    const path = inside('self.onnx');
    await writeFile(path, toBinary(ModelProtoSchema, external(fields)));
    await expect(readModel(path)).rejects.toMatchObject({name: 'FormatError', code, path});
    await expect(readModel(path)).rejects.toThrow(message);
  });

  it('a type this version does not know', async () => {
    const path = await write(changed(({graph}) => (graph!.initializer[0]!.dataType = 99)));
    await expect(readModel(path)).rejects.toThrow(new UnsupportedError(`${path}: tensor 'w' has data type 99`));
  });

  it('a file that is not there, and a folder', async () => {
    await expect(readModel(inside('nothing.onnx'))).rejects.toMatchObject({code: 'ERR_NOT_FOUND', path: inside('nothing.onnx')});
    await expect(readModel(inside())).rejects.toMatchObject({code: 'ERR_ONNX', path: inside()});
  });

  it('to begin when the signal has fired', async () => {
    await expect(readModel(await write(adder()), {signal: AbortSignal.abort()})).rejects.toThrow(AbortError);
  });
});
