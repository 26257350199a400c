/** The index of a lowered decoder as JSON, for the manifest of an engine folder. */

import {isDeepStrictEqual} from 'node:util';

import {KV_CACHE_TYPES} from '../backend/kv_cache_type.js';
import type {JsonField} from '../engine/json_check.js';
import type {DecoderIndex, DecoderPart, DecoderShape, Execution} from './lowered_decoder.js';
import {type PackedFormat, packedFormatOf} from './packed_format.js';
import {
  type CodeType,
  elementBytes,
  type QuantizedRows,
  quantizedLengths,
  type StoredBytes,
  type WeightRef,
  type WeightRows,
  type WeightType,
} from './weight_ref.js';

const WEIGHT_TYPES = ['float16', 'bfloat16', 'float32'] as const;
const CODE_TYPES = ['uint4', 'int4', 'uint8', 'int8', 'float8'] as const satisfies CodeType[];

/** For JSON.stringify. `nameOf` says what a file is called in it: its path from somewhere that the reader knows too. */
export function indexToJson({shape, parts, sequence, weights}: DecoderIndex, nameOf: (file: string) => string): object {
  const bytes = (stored: StoredBytes): object =>
    'inline' in stored ? {inline: Buffer.from(stored.inline).toString('base64')} : {...stored, file: nameOf(stored.file)};
  const rows = (part: WeightRows): object => {
    if (part.kind === 'dense') return {...part, data: bytes(part.data)};
    const {zeroPoints, ...rest} = part;
    const codes = {...rest, codes: bytes(part.codes), scales: bytes(part.scales)};
    return zeroPoints ? {...codes, zeroPoints: {...zeroPoints, data: bytes(zeroPoints.data)}} : codes;
  };
  return {shape, parts, sequence, weights: weights.map((weight) => ({...weight, rows: weight.rows.map(rows)}))};
}

/** `fileOf` undoes `nameOf`, and throws for names it does not want. Throws JsonProblem for what is no index. */
export function indexFromJson(root: JsonField, fileOf: (name: string) => string): DecoderIndex {
  const weights = root
    .get('weights')
    .array()
    .map((weight) => weightOf(weight, fileOf));
  const parts = root.get('parts').array().map(partOf);
  const sequence = root
    .get('sequence')
    .array()
    .map((execution) => executionOf(execution, parts, weights));
  return {shape: shapeOf(root.get('shape')), parts, sequence, weights};
}

function shapeOf(shape: JsonField): DecoderShape {
  const size = (name: string) => shape.get(name).integer(1);
  return {
    type: shape.get('type').oneOf(['float16', 'bfloat16']),
    layers: size('layers'),
    heads: size('heads'),
    kvHeads: size('kvHeads'),
    headSize: size('headSize'),
    rotarySize: shape.get('rotarySize').integer(0),
    interleaved: shape.get('interleaved').boolean(),
    hiddenSize: size('hiddenSize'),
    vocabularySize: size('vocabularySize'),
    maxPositions: size('maxPositions'),
    windows: shape.get('windows').integers(0),
    scale: shape.get('scale').amount(),
    softcap: shape.get('softcap').amount(),
    epsilon: shape.get('epsilon').amount(),
    pageSize: size('pageSize'),
    kvCacheType: shape.get('kvCacheType').oneOf(KV_CACHE_TYPES),
  };
}

function partOf(part: JsonField): DecoderPart {
  const inputs = part.get('weights').array();
  return {
    name: part.get('name').string(),
    kind: part.get('kind').oneOf(['prologue', 'block', 'epilogue']),
    weights: inputs.map((input) => ({
      name: input.get('name').string(),
      type: input.get('type').oneOf(WEIGHT_TYPES),
      shape: input.get('shape').integers(1),
      ...packedOf(input.get('packed')),
    })),
  };
}

function packedOf(packed: JsonField): {packed?: PackedFormat} {
  if (packed.missing) return {};
  const block = packed.get('block');
  if (block.value !== 0 && block.value !== 32 && block.value !== 64 && block.value !== 128) throw block.problem('0, 32, 64 or 128');
  return {
    packed: {
      codes: packed.get('codes').oneOf(['uint4', 'uint8', 'float8']),
      offsets: packed.get('offsets').oneOf(['middle', 'codes', 'floating']),
      block: block.value,
      gated: packed.get('gated').boolean(),
    },
  };
}

function executionOf(execution: JsonField, parts: readonly DecoderPart[], weights: readonly WeightRef[]): Execution {
  const name = execution.get('part');
  const part = parts.find((each) => each.name === name.value);
  if (part === undefined) throw name.problem('the name of a part');
  const indices = execution.get('weights');
  const weightOfInput = (input: DecoderPart['weights'][number]): [string, number] => {
    const field = indices.get(input.name);
    const index = field.integer(0);
    const weight = weights[index];
    if (weight?.type !== input.type || String(weight.shape) !== String(input.shape)) {
      throw field.problem(`the index of a weight [${input.shape.join(', ')}] of ${input.type}`);
    }
    if (!isDeepStrictEqual(weight.packed, input.packed)) throw field.problem('the index of a weight that is packed as its input is');
    return [input.name, index];
  };
  const layer = execution.get('layer');
  return {
    part: part.name,
    ...(layer.missing ? {} : {layer: layer.integer(0)}),
    weights: Object.fromEntries(part.weights.map(weightOfInput)),
  };
}

function weightOf(weight: JsonField, fileOf: (name: string) => string): WeightRef {
  const shape = weight.get('shape').integers(1);
  const rows = weight
    .get('rows')
    .array()
    .map((part) => rowsOf(part, fileOf));
  const columns = shape.length === 2 ? shape[1]! : 1;
  const count = rows.reduce((sum, part) => sum + part.rows, 0);
  if (shape.length < 1 || shape.length > 2 || count !== shape[0] || rows.some((part) => part.columns !== columns)) {
    throw weight.get('rows').problem(`rows of [${shape.join(', ')}]`);
  }
  const {packed} = packedOf(weight.get('packed'));
  if (packed !== undefined && !isDeepStrictEqual(packedFormatOf(rows, packed.gated), packed)) {
    throw weight.get('packed').problem('how its rows can stay quantized');
  }
  return {type: weight.get('type').oneOf(WEIGHT_TYPES), shape, rows, ...(packed === undefined ? {} : {packed})};
}

function rowsOf(part: JsonField, fileOf: (name: string) => string): WeightRows {
  const [rows, columns] = [part.get('rows').integer(1), part.get('columns').integer(1)];
  const kind = part.get('kind').oneOf(['dense', 'quantized']);
  switch (kind) {
    case 'dense': {
      const type = part.get('type').oneOf(WEIGHT_TYPES);
      const data = bytesOf(part.get('data'), rows * columns * elementBytes(type), fileOf);
      return {kind, rows, columns, type, transposed: part.get('transposed').boolean(), data};
    }
    case 'quantized':
      return quantizedOf(part, rows, columns, fileOf);
  }
}

function quantizedOf(part: JsonField, rows: number, columns: number, fileOf: (name: string) => string): QuantizedRows {
  const codeType = part.get('codeType').oneOf(CODE_TYPES);
  const blockSize = part.get('blockSize').integer(1);
  const transposed = part.get('transposed').boolean();
  if (transposed && columns % blockSize !== 0) throw part.get('blockSize').problem(`a divisor of ${columns}`);
  const scaleType = part.get('scaleType').oneOf(WEIGHT_TYPES);
  const zeros = part.get('zeroPoints');
  const zeroType = zeros.missing ? undefined : zeros.get('type').oneOf<WeightType | 'codes'>([...WEIGHT_TYPES, 'codes']);
  const lengths = quantizedLengths({rows, columns, codeType, blockSize, transposed, scaleType, zeroType});
  return {
    kind: 'quantized',
    rows,
    columns,
    codeType,
    blockSize,
    transposed,
    codes: bytesOf(part.get('codes'), lengths.codes, fileOf),
    scales: bytesOf(part.get('scales'), lengths.scales, fileOf),
    scaleType,
    ...(zeroType ? {zeroPoints: {type: zeroType, data: bytesOf(zeros.get('data'), lengths.zeroPoints, fileOf)}} : {}),
  };
}

/** Of the length that what it is for needs: no kernel reads past the end of what it is given. */
function bytesOf(stored: JsonField, length: number, fileOf: (name: string) => string): StoredBytes {
  const inline = stored.get('inline');
  if (!inline.missing) {
    const bytes = new Uint8Array(Buffer.from(inline.string(), 'base64'));
    if (bytes.byteLength !== length) throw inline.problem(`${length} bytes`);
    return {inline: bytes};
  }
  if (stored.get('length').value !== length) throw stored.get('length').problem(String(length));
  return {file: fileOf(stored.get('file').string()), offset: stored.get('offset').integer(0), length};
}
