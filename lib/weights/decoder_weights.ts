/** What the weights of a decoder's runs weigh: the units that are placed in VRAM, RAM or on disk. */

import type {DecoderIndex, DecoderPart, Execution} from '../decoder/lowered_decoder.js';
import {passingBytes} from '../decoder/packed_format.js';
import {type StoredBytes, type WeightRef, type WeightRows, weightByteLength} from '../decoder/weight_ref.js';

export interface RunWeights {
  /** Place in the order of runs. */
  index: number;
  /** 'prologue', 'layer 0', …, 'epilogue'. */
  name: string;
  kind: DecoderPart['kind'];
  /** Whose keys and values its attention has. */
  layer?: number;
  /** The weights that no other run takes. */
  own: readonly OwnWeight[];
  /** Bytes of them, as they lie in memory. */
  bytes: number;
  /** Elements of its matrices, and bytes of the largest of those that are packed, once it is not: prompts' products take it so. */
  elements: number;
  unpackedBytes: number;
  /** Bytes of them in the model's files, where they may be quantized. */
  storedBytes: number;
  /** Bytes of VRAM that making the largest of them from what is stored takes; 0 if all are stored as they are wanted. */
  stagingBytes: number;
  /** Bytes that a step of one token reads for it, those that other runs take too included. */
  readBytes: number;
}

export interface OwnWeight {
  /** Its number in the model. */
  weight: number;
  /** As it lies in memory; and in the model's files. */
  bytes: number;
  storedBytes: number;
}

export interface DecoderWeights {
  runs: readonly RunWeights[];
  /** Bytes of the weights that several runs take: tied embeddings, tables of rotations. They stay in VRAM. */
  sharedBytes: number;
}

/** Of a weight within a block of them: what kernels and copies want of an address. As in native/weights. */
const ALIGNMENT = 256;

export function decoderWeights({parts, sequence, weights}: DecoderIndex): DecoderWeights {
  const kinds = new Map(parts.map(({name, kind}) => [name, kind]));
  const users = new Map<number, number>();
  const used = sequence.map(({weights: inputs}) => [...new Set(Object.values(inputs))]);
  for (const weight of used.flat()) users.set(weight, (users.get(weight) ?? 0) + 1);
  const size = (indices: readonly number[], bytes: (weight: WeightRef) => number) =>
    indices.reduce((sum, index) => sum + aligned(bytes(weights[index]!)), 0);
  const runs = sequence.map((execution, index): RunWeights => {
    const kind = kinds.get(execution.part)!;
    const own = used[index]!.filter((weight) => users.get(weight) === 1);
    return {
      index,
      name: execution.layer === undefined ? execution.part : `layer ${execution.layer}`,
      kind,
      ...(execution.layer === undefined ? {} : {layer: execution.layer}),
      own: own.map((weight) => ({weight, bytes: size([weight], weightByteLength), storedBytes: size([weight], storedBytes)})),
      bytes: size(own, weightByteLength),
      elements: own.reduce((sum, weight) => sum + elementsOf(weights[weight]!), 0),
      unpackedBytes: Math.max(0, ...own.map((weight) => unpackedBytes(weights[weight]!))),
      storedBytes: size(own, storedBytes),
      stagingBytes: Math.max(0, ...own.map((weight) => stagingBytes(weights[weight]!))),
      readBytes: size(readInStep(kind, execution), (weight) => weightByteLength(weight)),
    };
  });
  const shared = [...users].flatMap(([weight, count]) => (count > 1 ? [weight] : []));
  return {runs, sharedBytes: size(shared, weightByteLength)};
}

function elementsOf({shape}: WeightRef): number {
  return shape.length === 2 ? shape[0]! * shape[1]! : 0;
}

function unpackedBytes({packed, ...weight}: WeightRef): number {
  return packed === undefined ? 0 : weightByteLength(weight);
}

/** Of embeddings and of tables of rotations a step reads a row. */
function readInStep(kind: DecoderPart['kind'], {weights}: Execution): number[] {
  if (kind === 'prologue') return [];
  return Object.entries(weights).flatMap(([name, weight]) => (name === 'cos' || name === 'sin' ? [] : [weight]));
}

function storedBytes({rows}: WeightRef): number {
  return rows.reduce((sum, part) => sum + partsOf(part).reduce((bytes, stored) => bytes + lengthOf(stored), 0), 0);
}

/** As native/weights reads pieces that need conversion: each whole, its parts aligned. */
function stagingBytes({type, rows, packed}: WeightRef): number {
  const converted = rows.filter((part) => part.kind === 'quantized' || part.transposed || part.type !== type);
  const passing = (part: WeightRows) => (part.kind === 'quantized' && packed === undefined ? passingBytes(part) : 0);
  return Math.max(0, ...converted.map((part) => partsOf(part).reduce((sum, stored) => sum + aligned(sizeOf(stored)), passing(part))));
}

function partsOf(part: WeightRows): StoredBytes[] {
  if (part.kind === 'dense') return [part.data];
  return part.zeroPoints === undefined ? [part.codes, part.scales] : [part.codes, part.scales, part.zeroPoints.data];
}

function sizeOf(stored: StoredBytes): number {
  return 'inline' in stored ? stored.inline.byteLength : stored.length;
}

/** In files. */
function lengthOf(stored: StoredBytes): number {
  return 'inline' in stored ? 0 : stored.length;
}

function aligned(bytes: number): number {
  return Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
}
