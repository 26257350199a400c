import {create} from '@bufbuild/protobuf';
import * as ort from 'onnxruntime-node';
import {describe, expect, it} from 'vitest';

import {serialize} from '../../backend/cpu/rewrite/serialize.js';
import {OptionError} from '../../errors.js';
import {DataType} from '../data_type.js';
import {GraphBuilder} from '../graph_builder.js';
import type {Model} from '../model.js';
import {AttributeProtoSchema, AttributeProto_AttributeType as AttributeType, type GraphProto} from '../onnx_pb.js';
import {fixInput} from './fix_input.js';
import {inlineConstantIfs} from './inline_if.js';

const graphOf = (name: string) => (value: GraphProto) => create(AttributeProtoSchema, {name, type: AttributeType.GRAPH, g: value});
const int64 = (...values: bigint[]) => new Uint8Array(BigInt64Array.from(values).buffer);

/** A graph without inputs that makes `result`; its own values are called alike in every branch. */
function branch(build: (builder: GraphBuilder) => string): GraphProto {
  const builder = GraphBuilder.create({name: 'branch', opsets: {'': 18}});
  builder.output(build(builder), DataType.FLOAT, ['n']);
  const {graph} = builder.model;
  // Bytes move into the message: the tensor's source belongs to the branch's own model.
  for (const tensor of graph.initializer) {
    const source = builder.model.source(tensor) as unknown as {bytes: Uint8Array};
    tensor.rawData = source.bytes;
  }
  return graph;
}

/**
 * y = rate == 16000 ? (rate == 8000 ? x : 2 (x + 1)) + x : outer, where outer = -x, in nested Ifs whose branches use
 * the same names.
 */
function model(): Model {
  const builder = GraphBuilder.create({name: 'rates', opsets: {'': 18}, irVersion: 8});
  builder.input('x', DataType.FLOAT, ['n']);
  builder.input('rate', DataType.INT64, []);
  builder.op('Neg', ['x'], {output: 'outer'});
  const flat = builder.op('Reshape', ['rate', builder.int64('one', [1])]);
  const scalar = builder.op('Gather', [flat, builder.initializer('zero', DataType.INT64, [], int64(0n))]);
  const is16 = builder.op('Equal', [scalar, builder.initializer('r16', DataType.INT64, [], int64(16000n))]);
  const is8 = builder.op('Equal', [scalar, builder.initializer('r8', DataType.INT64, [], int64(8000n))]);
  const {graph} = builder.model;

  const inner = branch((b) => b.op('Mul', [b.op('Add', ['x', b.float32('weight', [1])]), b.float32('weight', [2])], {output: 'result'}));
  const same = branch((b) => b.op('Identity', ['x'], {output: 'result'}));
  const taken = branch((b) => {
    b.op('If', [is8], {output: 'chosen'});
    b.model.graph.node.at(-1)!.attribute.push(graphOf('then_branch')(same), graphOf('else_branch')(inner));
    return b.op('Add', ['chosen', 'x'], {output: 'sum'});
  });
  const other = branch((b) => b.op('Identity', ['outer'], {output: 'result'}));
  builder.op('If', [is16], {output: 'y'});
  graph.node.at(-1)!.attribute.push(graphOf('then_branch')(taken), graphOf('else_branch')(other));
  builder.output('y', DataType.FLOAT, ['n']);
  return builder.build();
}

async function run(made: Model, feeds: {x: ort.Tensor; rate?: ort.Tensor}): Promise<number[]> {
  const session = await ort.InferenceSession.create(await serialize(made), {logSeverityLevel: 3, intraOpNumThreads: 1});
  try {
    return [...((await session.run(feeds)).y!.data as Float32Array)];
  } finally {
    await session.release();
  }
}

describe('inlineConstantIfs', () => {
  const x = new ort.Tensor('float32', Float32Array.from([1, -2, 5]), [3]);

  it.each([
    [16000n, [5, -4, 17], 2, ['Add', 'Identity', 'Mul']],
    [8000n, [-1, 2, -5], 1, ['Identity', 'Neg']],
  ] as const)('gives what ONNX Runtime gives for the model as it was, rate %s', async (rate, expected, ifs, operators) => {
    const before = await run(model(), {x, rate: new ort.Tensor('int64', BigInt64Array.of(rate), [])});
    expect(before).toEqual(expected);

    const lowered = model();
    fixInput(lowered, 'rate', [], int64(rate));
    expect(await inlineConstantIfs(lowered)).toBe(ifs);
    expect([...new Set(lowered.graph.node.map(({opType}) => opType))].sort()).toEqual(operators);
    expect(lowered.graph.input.map(({name}) => name)).toEqual(['x']);
    expect(await run(lowered, {x})).toEqual(before);
  });

  it('leaves a condition that is an input, or the default of one', async () => {
    const untouched = model();
    expect(await inlineConstantIfs(untouched)).toBe(0);
    expect(untouched.graph.node.filter(({opType}) => opType === 'If')).toHaveLength(1);

    const withDefault = model();
    GraphBuilder.extend(withDefault);
    withDefault.graph.initializer.push({
      ...withDefault.graph.initializer.find(({name}) => name === 'r16')!,
      name: 'rate',
      rawData: int64(16000n),
    });
    expect(await inlineConstantIfs(withDefault)).toBe(0);
  });
});

describe('fixInput', () => {
  it('names the inputs there are', () => {
    expect(() => fixInput(model(), 'sr', [], int64(1n))).toThrow(OptionError);
    expect(() => fixInput(model(), 'sr', [], int64(1n))).toThrow("input must be a tensor that the model takes (x, rate), got 'sr'");
  });

  it('refuses bytes of another shape', () => {
    expect(() => fixInput(model(), 'rate', [2], int64(1n))).toThrow(RangeError);
  });
});
