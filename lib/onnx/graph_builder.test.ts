import {describe, expect, it} from 'vitest';

import {topologicalOrder} from './check.js';
import {DataType} from './data_type.js';
import {floatAttribute, GraphIndex, intAttribute, intsAttribute, stringAttribute, tensorInfo} from './graph.js';
import {float, GraphBuilder, int, ints, string} from './graph_builder.js';

function relu(): GraphBuilder {
  const builder = GraphBuilder.create({name: 'relu', opsets: {'': 21}});
  builder.input('x', DataType.FLOAT, [2, 'n']);
  builder.op('Relu', ['x'], {output: 'y'});
  builder.output('y', DataType.FLOAT, [2, 'n']);
  return builder;
}

describe('GraphBuilder', () => {
  it('makes a model of what it is told', () => {
    const {proto, graph} = relu().build();
    expect(proto.irVersion).toBe(10n);
    expect(proto.opsetImport.map(({domain, version}) => [domain, version])).toEqual([['', 21n]]);
    expect(graph.node.map(({opType, input, output}) => [opType, input, output])).toEqual([['Relu', ['x'], ['y']]]);
    expect(tensorInfo(graph.input[0]!)).toEqual({type: DataType.FLOAT, dims: [2, 'n']});
  });

  it('keeps names unique', () => {
    const builder = relu();
    expect(builder.op('Relu', ['y'])).toBe('Relu_1/output');
    expect(builder.op('Relu', ['y'], {name: 'again'})).toBe('again/output');
    expect(builder.op('Relu', ['y'], {name: 'again'})).toBe('again_1/output');
    expect(builder.int64('shape', [1])).toBe('shape');
    expect(builder.int64('shape', [2])).toBe('shape_1');
    expect([builder.has('shape_1'), builder.has('shape_2')]).toEqual([true, false]);
    expect(() => builder.op('Relu', ['x'], {output: 'y'})).toThrow("'y' is taken");
    expect(() => builder.input('shape', DataType.FLOAT, [])).toThrow("'shape' is taken");
    const names = builder.model.graph.node.map(({name}) => name);
    expect(new Set(names).size).toBe(names.length);
  });

  it('writes attributes of every kind', () => {
    const builder = relu();
    const attributes = {axis: int(-1), epsilon: float(0.5), direction: string('RIGHT'), perm: ints([1, 0])};
    builder.node('Any', ['x', '', 'y'], {outputs: ['a', '', 'b'], domain: 'com.example', attributes});
    const node = builder.model.graph.node.at(-1)!;
    expect([node.domain, node.input, node.output]).toEqual(['com.example', ['x', '', 'y'], ['a', '', 'b']]);
    expect(intAttribute(node, 'axis')).toBe(-1);
    expect(floatAttribute(node, 'epsilon')).toBe(0.5);
    expect(stringAttribute(node, 'direction')).toBe('RIGHT');
    expect(intsAttribute(node, 'perm')).toEqual([1, 0]);
    expect(intAttribute(node, 'other')).toBeUndefined();
    expect(intAttribute(node, 'other', 3)).toBe(3);
  });

  it('refuses data that does not fit, and a graph that makes no sense', () => {
    const builder = relu();
    expect(() => builder.initializer('w', DataType.FLOAT, [2, 3], new Uint8Array(20))).toThrow(
      "initializer 'w' of FLOAT [2, 3] needs 24 bytes, got 20",
    );
    builder.op('Add', ['y', 'nothing']);
    expect(() => builder.build()).toThrow("'nothing', input of Add 'Add', is not defined");
  });

  it('goes on with a model that exists', () => {
    const {model} = relu();
    const builder = GraphBuilder.extend(model);
    const [node] = model.graph.node;
    const inner = builder.renameOutput(node!, 'y', 'y/inner');
    builder.op('Neg', [inner], {output: 'y'});
    builder.importOpset('com.microsoft', 1);
    builder.importOpset('', 99);
    expect(builder.build().graph.node.map(({output}) => output)).toEqual([['y/inner'], ['y']]);
    expect(model.proto.opsetImport.map(({domain, version}) => [domain, version])).toEqual([
      ['', 21n],
      ['com.microsoft', 1n],
    ]);
  });
});

describe('topologicalOrder', () => {
  it('puts makers before takers and leaves the rest as it is', () => {
    const builder = GraphBuilder.create({name: 'order', opsets: {'': 21}});
    builder.input('x', DataType.FLOAT, [1]);
    builder.op('Add', ['a', 'b'], {output: 'c', name: 'c'});
    builder.op('Relu', ['x'], {output: 'a', name: 'a'});
    builder.op('Relu', ['a'], {output: 'b', name: 'b'});
    const {graph} = builder.model;
    expect(topologicalOrder(graph, 'order').map(({name}) => name)).toEqual(['a', 'b', 'c']);
    graph.node = topologicalOrder(graph, 'order');
    expect(topologicalOrder(graph, 'order')).toEqual(graph.node);
  });
});

describe('GraphIndex', () => {
  it('knows who makes and who takes a value, and what it is', () => {
    const builder = relu();
    builder.initializer('w', DataType.FLOAT16, [3], new Uint8Array(6));
    builder.op('Add', ['y', 'y'], {name: 'twice'});
    const index = new GraphIndex(builder.model.graph);
    expect(index.producers.get('y')?.opType).toBe('Relu');
    expect(index.producers.get('x')).toBeUndefined();
    expect(index.consumers.get('y')?.map(({name}) => name)).toEqual(['twice']);
    expect(index.tensorInfo('w')).toEqual({type: DataType.FLOAT16, dims: [3]});
    expect(index.tensorInfo('x')).toEqual({type: DataType.FLOAT, dims: [2, 'n']});
    expect(index.tensorInfo('twice/output')).toBeUndefined();
    expect([index.isOutput('y'), index.isOutput('x')]).toEqual([true, false]);
  });
});
