/** Rotation by positions: noted here, done by the attention that takes what is rotated. */

import {floatAttribute, intAttribute} from '../../onnx/graph.js';
import {isPlumbing} from '../../onnx/lower/runtime_values.js';
import type {NodeProto} from '../../onnx/onnx_pb.js';
import type {RotaryTables} from '../rows_graph.js';
import type {Traced, Translation} from './translation.js';

export function rotaryEmbedding(t: Translation, node: NodeProto, inputs: readonly (Traced | undefined)[]): Traced {
  const x = inputs[0] ?? t.refuse(node, `'${node.input[0]}' does not come from the embeddings`);
  if (x.rotary !== undefined) t.refuse(node, 'rotates twice');
  if (floatAttribute(node, 'scale', 1) !== 1 || intAttribute(node, 'is_packed_batching', 0))
    t.refuse(node, 'has a scale or packed batches');
  const rotary = rotaryTables(t, node, node.input[2]!, node.input[3]!, intAttribute(node, 'interleaved', 0) !== 0);
  if (!isPlumbing(t.index, node.input[1]!)) t.refuse(node, `'${node.input[1]}' is made of more than positions`);
  const size = intAttribute(node, 'rotary_embedding_dim', 0);
  if (size !== 0 && size !== 2 * rotary.cos.inner) t.refuse(node, `rotates ${size} elements by tables of ${rotary.cos.inner} pairs`);
  return {...x, rotary};
}

export function rotaryTables(t: Translation, node: NodeProto, cosName: string, sinName: string, interleaved: boolean): RotaryTables {
  const [cos, sin] = [t.weight(node, cosName), t.weight(node, sinName)];
  if (cos.inner === 0 || cos.inner !== sin.inner || cos.outer !== sin.outer) {
    t.refuse(node, `its rotary tables have shapes [${cos.outer}, ${cos.inner}] and [${sin.outer}, ${sin.inner}]`);
  }
  return {cos, sin, interleaved};
}
