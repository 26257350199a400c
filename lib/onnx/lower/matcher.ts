/** Looks for known arrangements of nodes in a graph, against the flow: from a value to what it is made of. */

import {float16ToFloat32} from '../../import/numeric/float16.js';
import {DataType} from '../data_type.js';
import {floatAttribute, GraphIndex, intAttribute, intsAttribute, tensorAttribute} from '../graph.js';
import type {Model} from '../model.js';
import type {NodeProto, TensorProto} from '../onnx_pb.js';
import {BytesSource} from '../tensor_source.js';

export class Matcher {
  readonly index: GraphIndex;

  constructor(readonly model: Model) {
    this.index = new GraphIndex(model.graph);
  }

  /** The node that makes `name`, if it is one of these operators; of ONNX's domain, or with the domain before it. */
  producer(name: string | undefined, ...opTypes: readonly string[]): NodeProto | undefined {
    const node = this.index.producers.get(name ?? '');
    return node && opTypes.includes(node.domain === '' ? node.opType : `${node.domain}.${node.opType}`) ? node : undefined;
  }

  /** What is behind casts and nodes that do nothing. */
  behindCasts(name: string): string {
    const node = this.producer(name, 'Cast', 'Identity');
    return node ? this.behindCasts(node.input[0]!) : name;
  }

  /** The tensor of an initializer that is no input, or of a Constant node. */
  tensor(name: string): TensorProto | undefined {
    if (this.index.graph.input.some((input) => input.name === name)) return undefined;
    const constant = this.producer(name, 'Constant');
    return constant ? tensorAttribute(constant, 'value') : this.index.initializers.get(name);
  }

  /** Whether `name` depends on no input of the graph. */
  isConstant(name: string): boolean {
    if (this.tensor(name)) return true;
    const node = this.index.producers.get(name);
    if (node === undefined) return false;
    return node.opType === 'Constant' || (node.input.length > 0 && node.input.every((each) => each === '' || this.isConstant(each)));
  }

  /** The one number of a constant that has one element, behind casts. */
  scalar(name: string | undefined): number | undefined {
    if (name === undefined) return undefined;
    const behind = this.behindCasts(name);
    const value = this.producer(behind, 'Constant');
    if (value && floatAttribute(value, 'value_float') !== undefined) return floatAttribute(value, 'value_float');
    const tensor = this.tensor(behind);
    if (tensor === undefined || tensor.dims.some((dim) => dim !== 1n)) return undefined;
    return this.numbers(tensor)?.[0];
  }

  /** Integers of a constant vector or scalar. */
  ints(name: string | undefined): number[] | undefined {
    if (!name) return undefined;
    const behind = this.behindCasts(name);
    const constant = this.producer(behind, 'Constant');
    const one = constant && intAttribute(constant, 'value_int');
    const values = constant && (one === undefined ? intsAttribute(constant, 'value_ints') : [one]);
    if (values) return values;
    const tensor = this.tensor(behind);
    return tensor && tensor.dims.length <= 1 && (tensor.dataType === DataType.INT64 || tensor.dataType === DataType.INT32)
      ? this.numbers(tensor)
      : undefined;
  }

  /** Axes that a node reduces or changes: an attribute until opset 12 or 17, an input since. */
  axes(node: NodeProto): number[] | undefined {
    return intsAttribute(node, 'axes') ?? this.ints(node.input[1]);
  }

  /** Elements of a tensor whose bytes are in memory. */
  numbers(tensor: TensorProto): number[] | undefined {
    const source = this.model.source(tensor);
    if (!(source instanceof BytesSource)) return undefined;
    const {buffer} = Uint8Array.from(source.bytes);
    switch (tensor.dataType) {
      case DataType.FLOAT:
        return [...new Float32Array(buffer)];
      case DataType.FLOAT16:
        return [...float16ToFloat32(new Uint16Array(buffer))];
      case DataType.DOUBLE:
        return [...new Float64Array(buffer)];
      case DataType.INT64:
        return Array.from(new BigInt64Array(buffer), Number);
      case DataType.INT32:
        return [...new Int32Array(buffer)];
      case DataType.UINT8:
        return [...new Uint8Array(buffer)];
      default:
        return undefined;
    }
  }

  /** The operands of a node of two, each in turn as the first. */
  orders(node: NodeProto): [string, string][] {
    const [a, b] = node.input as [string, string];
    return [
      [a, b],
      [b, a],
    ];
  }
}
