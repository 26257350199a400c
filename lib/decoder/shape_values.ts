/** What is known of the small integer vectors that exports compute shapes with. */

import {DataType} from '../onnx/data_type.js';
import {intAttribute, intsAttribute} from '../onnx/graph.js';
import type {Constants} from './constants.js';

/** Elements of an integer vector or scalar, undefined for those known only at run time; undefined where not even their number is known. */
export function shapeValues(constants: Constants, name: string): (number | undefined)[] | undefined {
  const {model, index} = constants;
  const tensor = constants.tensor(name);
  if (tensor) {
    if (tensor.dims.length > 1 || (tensor.dataType !== DataType.INT64 && tensor.dataType !== DataType.INT32)) return undefined;
    const stored = constants.bytes(tensor);
    const source = model.source(tensor);
    const bytes = 'inline' in stored ? stored.inline : (source as {bytes?: Uint8Array}).bytes;
    if (bytes === undefined) return undefined;
    const {buffer} = Uint8Array.from(bytes);
    return tensor.dataType === DataType.INT64 ? Array.from(new BigInt64Array(buffer), Number) : [...new Int32Array(buffer)];
  }
  const node = index.producers.get(name);
  if (node === undefined || node.domain !== '') return undefined;
  const from = (at: number) => shapeValues(constants, node.input[at] ?? '');
  switch (node.opType) {
    case 'Constant': {
      const ints = intsAttribute(node, 'value_ints');
      const one = intAttribute(node, 'value_int');
      return ints ?? (one === undefined ? undefined : [one]);
    }
    case 'Identity':
    case 'Cast':
    case 'Unsqueeze':
    case 'Squeeze':
    case 'Reshape':
      return from(0);
    case 'Concat': {
      const parts = node.input.map((_, at) => from(at));
      return parts.every((part) => part !== undefined) ? parts.flat() : undefined;
    }
    case 'Gather': {
      const [values, indices] = [from(0), from(1)];
      return indices?.map((at) => (at === undefined ? undefined : values?.at(at)));
    }
    case 'Slice': {
      const [values, starts, ends] = [from(0), from(1), from(2)];
      if (values === undefined || starts?.[0] === undefined || ends?.[0] === undefined || node.input[4]) return undefined;
      return values.slice(starts[0], ends[0]);
    }
    case 'Shape':
      return index.tensorInfo(node.input[0]!)?.dims?.map((dim) => (typeof dim === 'number' ? dim : undefined));
    case 'Mul':
    case 'Div':
    case 'Add':
    case 'Sub': {
      const [a, b] = [from(0), from(1)];
      if (a?.length !== 1 || b?.length !== 1) return undefined;
      return [compute(node.opType, a[0], b[0])];
    }
    default:
      return undefined;
  }
}

function compute(op: 'Mul' | 'Div' | 'Add' | 'Sub', a: number | undefined, b: number | undefined): number | undefined {
  if (a === undefined || b === undefined) return undefined;
  return {Mul: a * b, Div: Math.trunc(a / b), Add: a + b, Sub: a - b}[op];
}
