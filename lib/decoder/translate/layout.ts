/** Parts of rows, and rows split into heads. */

import {intAttribute, intsAttribute} from '../../onnx/graph.js';
import {shapeValues} from '../../onnx/lower/shape_values.js';
import type {NodeProto} from '../../onnx/onnx_pb.js';
import {flat, type Traced, type Translation} from './translation.js';

export function split(t: Translation, node: NodeProto, inputs: readonly (Traced | undefined)[]): undefined {
  const x = flat(t, node, inputs[0], node.input[0]);
  const axis = intAttribute(node, 'axis', 0);
  if (axis !== -1 && axis !== 2) t.refuse(node, 'splits along another dimension than the last');
  const width = t.width(x);
  const given = node.input[1] ? shapeValues(t.matcher, node.input[1]) : intsAttribute(node, 'split');
  const sizes = given ?? node.output.map(() => width / node.output.length);
  let from = 0;
  for (const [at, name] of node.output.entries()) {
    const size = sizes[at];
    if (size === undefined || !Number.isInteger(size)) return t.refuse(node, 'the sizes of its parts are not known');
    t.set(name, {value: t.graph.add({op: 'Slice', width: size, x, from})});
    from += size;
  }
  return undefined;
}

export function slice(t: Translation, node: NodeProto, inputs: readonly (Traced | undefined)[]): Traced {
  const x = flat(t, node, inputs[0], node.input[0]);
  const [starts, ends, axes, steps] = [1, 2, 3, 4].map((at) => shapeValues(t.matcher, node.input[at] ?? ''));
  if (axes?.length !== 1 || (steps !== undefined && steps[0] !== 1)) return t.refuse(node, 'cuts other than one dimension, or in steps');
  // Which rows get logits is for the runtime to say.
  if (axes[0] === 1) return {value: x};
  const width = t.width(x);
  const bound = (at: number | undefined) => (at === undefined ? undefined : Math.min(at < 0 ? at + width : at, width));
  const [from, to] = [bound(starts?.[0]), bound(ends?.[0])];
  if ((axes[0] !== 2 && axes[0] !== -1) || from === undefined || to === undefined) return t.refuse(node, 'where it cuts is not known');
  return {value: t.graph.add({op: 'Slice', width: to - from, x, from})};
}

export function lastRows(t: Translation, node: NodeProto, inputs: readonly (Traced | undefined)[]): Traced {
  if (intAttribute(node, 'axis', 0) !== 1) t.refuse(node, 'takes some of the elements of rows');
  return {value: flat(t, node, inputs[0], node.input[0])};
}

export function reshape(t: Translation, node: NodeProto, inputs: readonly (Traced | undefined)[]): Traced {
  const x = inputs[0] ?? t.refuse(node, 'reshapes by a shape made of rows');
  if (x.headsFirst) t.refuse(node, 'reshapes heads that come before positions');
  const dims = shapeValues(t.matcher, node.input[1]!);
  const width = t.width(x.value);
  const known = (size: number | undefined) => (size === undefined || size <= 0 ? undefined : size);
  const last = known(dims?.at(-1));
  if (dims?.length === 4) {
    const heads = known(dims[2]) ?? (last === undefined ? undefined : width / last);
    if (heads === undefined || !Number.isInteger(width / heads) || (last !== undefined && heads * last !== width)) {
      return t.refuse(node, `does not split rows of ${width} into heads`);
    }
    return {...x, heads};
  }
  if ((dims?.length !== 3 && dims?.length !== 2) || (last !== undefined && last !== width)) {
    return t.refuse(node, `makes something else than rows of ${width}`);
  }
  const {heads: _, ...rest} = x;
  return rest;
}

export function transpose(t: Translation, node: NodeProto, inputs: readonly (Traced | undefined)[]): Traced {
  const x = inputs[0]!;
  if (x.heads === undefined || String(intsAttribute(node, 'perm')) !== '0,2,1,3')
    t.refuse(node, 'transposes something else than heads and positions');
  return {...x, headsFirst: !x.headsFirst};
}
