import {create} from '@bufbuild/protobuf';
import {describe, expect, it} from 'vitest';

import {DataType} from './data_type.js';
import {tensorInfo} from './graph.js';
import {ValueInfoProtoSchema} from './onnx_pb.js';

type Dim = bigint | string | undefined;

function valueInfo(dims: readonly Dim[] | undefined) {
  const dim = dims?.map((each) => ({
    value:
      typeof each === 'bigint'
        ? ({case: 'dimValue', value: each} as const)
        : typeof each === 'string'
          ? ({case: 'dimParam', value: each} as const)
          : ({case: undefined} as const),
  }));
  const value = {elemType: DataType.FLOAT, shape: dim && {dim}};
  return create(ValueInfoProtoSchema, {name: 'x', type: {value: {case: 'tensorType', value}}});
}

describe('tensorInfo', () => {
  it.each<[string, Dim[] | undefined, (number | string)[] | undefined]>([
    ['numbers and names', [2n, 'n', 0n], [2, 'n', 0]],
    ['a dimension that says nothing', [undefined, 4n], ['', 4]],
    ['negative ones, which some exporters write for unknown', [-1n, 3n, -2n], ['', 3, '']],
    ['a scalar', [], []],
    ['no rank', undefined, undefined],
  ])('tells dimensions: %s', (_name, given, dims) => {
    expect(tensorInfo(valueInfo(given))).toEqual({type: DataType.FLOAT, dims});
  });

  it('knows values that are no tensors', () => {
    expect(tensorInfo(create(ValueInfoProtoSchema, {name: 'x'}))).toBeUndefined();
  });
});
