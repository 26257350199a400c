import {create} from '@bufbuild/protobuf';
import {expect, it} from 'vitest';

import {DataType} from './data_type.js';
import {GraphBuilder} from './graph_builder.js';
import {AttributeProtoSchema, FunctionProtoSchema, GraphProtoSchema, NodeProtoSchema} from './onnx_pb.js';
import {unknownOperators} from './operators.js';

it('names each unknown operator once, also in nested graphs, and not the functions of the model', () => {
  const builder = GraphBuilder.create({name: 'unknown', opsets: {'': 21}});
  builder.input('x', DataType.FLOAT, [1]);
  builder.op('Relu', ['x']);
  builder.op('GroupQueryAttention', ['x'], {domain: 'com.microsoft'});
  builder.op('SimplifiedLayerNormalization', ['x']);
  builder.op('GroupQueryAttention', ['x'], {name: 'misplaced'});
  builder.op('Frobnicate', ['x'], {name: 'first', domain: 'com.example'});
  builder.op('Frobnicate', ['x'], {name: 'second', domain: 'com.example'});
  builder.op('Own', ['x'], {domain: 'com.example'});
  builder.op('If', ['x']);
  const {proto, graph} = builder.model;
  const inner = create(NodeProtoSchema, {opType: 'Nested', output: ['z']});
  graph.node.at(-1)!.attribute.push(create(AttributeProtoSchema, {name: 'then_branch', g: create(GraphProtoSchema, {node: [inner]})}));
  const inFunction = create(NodeProtoSchema, {opType: 'InFunction', name: 'body'});
  proto.functions.push(create(FunctionProtoSchema, {name: 'Own', domain: 'com.example', node: [inFunction]}));

  expect(unknownOperators(proto)).toEqual([
    "GroupQueryAttention 'misplaced'",
    "com.example.Frobnicate 'first'",
    "Nested making 'z'",
    "InFunction 'body'",
  ]);
});
