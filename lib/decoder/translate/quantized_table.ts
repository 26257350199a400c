/**
 * An embedding of 4-bit codes with floating zero points, which GatherBlockQuantized does not have: our own import gathers
 * the packed rows and takes them apart in plain operators.
 */

import {intAttribute} from '../../onnx/graph.js';
import type {Matcher} from '../../onnx/lower/matcher.js';
import {isTokens} from '../../onnx/lower/runtime_values.js';
import type {NodeProto} from '../../onnx/onnx_pb.js';
import type {QuantizedRows} from '../weight_ref.js';
import {quantizedRows} from './quantized.js';
import type {Translation} from './translation.js';

export interface QuantizedTable {
  /** Makes the rows of the tokens. */
  last: NodeProto;
  rows: QuantizedRows;
  /** Gathers that are part of it, and embed nothing on their own. */
  gathers: readonly NodeProto[];
}

export function quantizedTables(t: Translation): QuantizedTable[] {
  return t.model.graph.node.flatMap((node) => match(t, t.matcher, node) ?? []);
}

/** reshape((unpack(codes[tokens]) - zeroPoints[tokens]) * scales[tokens]) */
function match(t: Translation, matcher: Matcher, last: NodeProto): QuantizedTable | undefined {
  if (last.opType !== 'Reshape') return undefined;
  const scaled = matcher.producer(last.input[0], 'Mul');
  const shifted = matcher.producer(scaled?.input[0], 'Sub');
  if (scaled === undefined || shifted === undefined) return undefined;
  const zeros = perBlock(matcher, shifted.input[1]!);
  const scales = perBlock(matcher, scaled.input[1]!);
  const codes = unpacked(matcher, matcher.behindCasts(shifted.input[0]!));
  if (codes === undefined || zeros === undefined || scales === undefined) return undefined;

  const [table, zeroTable, scaleTable] = [codes, zeros, scales].map((gather) => matcher.tensor(gather.input[0]!));
  if (!table || !zeroTable || !scaleTable || table.dims.length !== 2 || scaleTable.dims.length !== 2) return undefined;
  const [rows, packed] = table.dims.map(Number) as [number, number];
  const columns = 2 * packed;
  const blockSize = columns / Number(scaleTable.dims[1]);
  if (matcher.ints(last.input[1])?.at(-1) !== columns) return undefined;
  const names = [table.name, scaleTable.name, zeroTable.name] as const;
  return {last, rows: quantizedRows(t, last, {rows, columns, blockSize, codeType: 'uint4'}, names), gathers: [codes, zeros, scales]};
}

/** Numbers of the blocks of the tokens' rows, with a dimension for the elements of a block. */
function perBlock(matcher: Matcher, name: string): NodeProto | undefined {
  const wide = matcher.producer(matcher.behindCasts(name), 'Unsqueeze');
  return wide && String(matcher.axes(wide)) === '-1' ? gathered(matcher, wide.input[0]!) : undefined;
}

function gathered(matcher: Matcher, name: string): NodeProto | undefined {
  const gather = matcher.producer(name, 'Gather');
  return gather && isTokens(matcher.index, gather.input[1]!) ? gather : undefined;
}

/** Low bits, then high bits, of each byte. */
function unpacked(matcher: Matcher, name: string): NodeProto | undefined {
  const blocked = matcher.producer(name, 'Reshape');
  const pairs = matcher.producer(blocked?.input[0], 'Concat');
  if (pairs === undefined || pairs.input.length !== 2 || intAttribute(pairs, 'axis', 0) !== -1) return undefined;
  const [low, high] = pairs.input.map((each) => {
    const wide = matcher.producer(each, 'Unsqueeze');
    return matcher.producer(wide?.input[0], 'BitwiseAnd', 'BitShift');
  });
  if (low?.opType !== 'BitwiseAnd' || high?.opType !== 'BitShift' || low.input[0] !== high.input[0]) return undefined;
  const [mask, shift] = [low, high].map((node) => matcher.scalar(node.input[1]));
  return mask === 15 && shift === 4 ? gathered(matcher, low.input[0]!) : undefined;
}
