import {create, type MessageInitShape} from '@bufbuild/protobuf';
import {describe, expect, it} from 'vitest';

import {FormatError, UnsupportedError} from '../errors.js';
import {DataType} from './data_type.js';
import {inlineBytes} from './inline_data.js';
import {TensorProtoSchema} from './onnx_pb.js';

type Fields = MessageInitShape<typeof TensorProtoSchema>;

function bytes(dataType: DataType, fields: Fields, dims = [2n]): number[] {
  return [...inlineBytes(create(TensorProtoSchema, {name: 't', dataType, dims, ...fields}), 'model')];
}

describe('inlineBytes', () => {
  it.each<[DataType, Fields, ArrayBufferView]>([
    [DataType.FLOAT, {floatData: [1.5, -2]}, Float32Array.of(1.5, -2)],
    [DataType.DOUBLE, {doubleData: [1.5, -2]}, Float64Array.of(1.5, -2)],
    [DataType.INT64, {int64Data: [1n, -(2n ** 63n)]}, BigInt64Array.of(1n, -(2n ** 63n))],
    [DataType.UINT64, {uint64Data: [1n, 2n ** 64n - 1n]}, BigUint64Array.of(1n, 2n ** 64n - 1n)],
    [DataType.UINT32, {uint64Data: [1n, 2n ** 32n - 1n]}, Uint32Array.of(1, 2 ** 32 - 1)],
    [DataType.INT32, {int32Data: [1, -2]}, Int32Array.of(1, -2)],
    [DataType.INT16, {int32Data: [1, -2]}, Int16Array.of(1, -2)],
    [DataType.UINT16, {int32Data: [1, 65535]}, Uint16Array.of(1, 65535)],
    [DataType.INT8, {int32Data: [1, -2]}, Int8Array.of(1, -2)],
    [DataType.UINT8, {int32Data: [1, 255]}, Uint8Array.of(1, 255)],
    [DataType.BOOL, {int32Data: [0, 1]}, Uint8Array.of(0, 1)],
    [DataType.FLOAT16, {int32Data: [0x3c00, 0xc000]}, Uint16Array.of(0x3c00, 0xc000)],
    [DataType.BFLOAT16, {int32Data: [0x3f80, 0xc000]}, Uint16Array.of(0x3f80, 0xc000)],
    [DataType.UINT4, {int32Data: [0x21]}, Uint8Array.of(0x21)],
    [DataType.COMPLEX64, {floatData: [1, 2, 3, 4]}, Float32Array.of(1, 2, 3, 4)],
    [DataType.FLOAT, {rawData: new Uint8Array(Float32Array.of(1.5, -2).buffer)}, Float32Array.of(1.5, -2)],
  ])('type %i from %o', (type, fields, expected) => {
    expect(bytes(type, fields)).toEqual([...new Uint8Array(expected.buffer)]);
  });

  it('an odd count of 4-bit elements, a scalar, nothing', () => {
    expect(bytes(DataType.INT4, {rawData: Uint8Array.of(0x21, 0x03)}, [3n])).toEqual([0x21, 3]);
    expect(bytes(DataType.UINT8, {int32Data: [7]}, [])).toEqual([7]);
    expect(bytes(DataType.FLOAT, {}, [0n, 4n])).toEqual([]);
  });

  it('refuses values that do not fit the shape', () => {
    expect(() => bytes(DataType.FLOAT, {floatData: [1]})).toThrow(FormatError);
    expect(() => bytes(DataType.UINT4, {int32Data: [1, 2, 3]})).toThrow(FormatError);
    expect(() => bytes(DataType.FLOAT, {int32Data: [1, 2]})).toThrow(
      "model: tensor 't' of type FLOAT and shape [2] needs 8 bytes and has 0",
    );
  });

  it('has no bytes for strings', () => {
    expect(() => bytes(DataType.STRING, {stringData: [new Uint8Array(1), new Uint8Array(1)]})).toThrow(UnsupportedError);
  });
});
