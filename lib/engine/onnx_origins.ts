/**
 * Which ONNX nodes a layer of an engine was made of, by what TensorRT calls it.
 *
 * A plan built with detailed verbosity tells each layer's origins as metadata. Else there is the layer's name, which its
 * fusions made of nodes' names: `A + B`, `A || B`, `PWN(A, B)`, `{ForeignNode[A...B]}`, `Reformatting CopyNode for Input
 * Tensor 0 to A`, `A_myl0_5`, in which `a.b` may be spelled `a_b`.
 */

import {groupBy} from '../group_by.js';
import type {NodeProto} from '../onnx/onnx_pb.js';

export interface NamedLayer {
  name: string;
  metadata?: string;
}

/** Between the origins of several fusions, and of one. */
const [GROUPS, UNITS] = ['\x1e', '\x1f'];
const ORIGIN = /\[ONNX Layer: (.*?)\](?=$|\[ONNX Layer: )/gs;

/** As TensorRT's ONNX parser calls it: a node without a name after its first output. */
export function parsedName({name, output}: Pick<NodeProto, 'name' | 'output'>): string {
  return name !== '' ? name : output.length > 0 ? `node_of_${output[0]}` : '';
}

/**
 * Names of ONNX nodes for each layer, in its own order, none twice. `known`: the model's nodes, in their order; without
 * them a name that stands alone in a layer's is taken for a node's. Between the ends of a `ForeignNode` are the nodes
 * that are between them in the model, and in no other layer.
 */
export function onnxOrigins(layers: readonly NamedLayer[], known?: readonly string[]): string[][] {
  const index = known && new Map(known.map((name, at) => [name, at]));
  const spelled = index && spellings(known!);
  const origins = layers.map(({name, metadata}) => {
    const told = metadataOrigins(metadata);
    return told.length > 0 ? told : spelled === undefined ? plainNames(name) : knownNames(name, spelled);
  });
  if (index !== undefined) fillRanges(layers, origins, known!, index);
  return origins;
}

/** Of engines with several optimization profiles, layers of all but the first have its number behind their names. */
export function withoutProfile(name: string): string {
  return name.replace(/ ?\[profile \d+\]$/, '');
}

function metadataOrigins(metadata = ''): string[] {
  return unique(
    metadata
      .replaceAll(GROUPS, UNITS)
      .split(UNITS)
      .flatMap((part) => [...part.matchAll(ORIGIN)].map(([, name]) => withoutProfile(name!))),
  );
}

/** Nodes' names by how layers spell them: as they are, or with anything unusual replaced, where that is no other's name. */
function spellings(known: readonly string[]): Map<string, string> {
  const spelled = new Map(known.map((name) => [name, name]));
  const plain = groupBy(known, (name) => name.replaceAll(/[^A-Za-z0-9_/]/g, '_'));
  for (const [spelling, [name, ...others]] of plain) if (others.length === 0 && !spelled.has(spelling)) spelled.set(spelling, name!);
  return spelled;
}

/** The longest names first, where several are possible; each from one boundary of the text to another. */
function knownNames(text: string, known: ReadonlyMap<string, string>): string[] {
  const starts = boundaries(text, STARTS);
  const ends = boundaries(text, ENDS);
  const found: string[] = [];
  let taken = 0;
  for (const start of starts) {
    if (start < taken) continue;
    const end = ends.findLast((each) => each > start && known.has(text.slice(start, each)));
    if (end === undefined) continue;
    found.push(known.get(text.slice(start, end))!);
    taken = end;
  }
  return unique(found);
}

/** What may stand before a node's name: `reshape_before_A`, `squeeze_after_A`. */
const STARTS = /^|(?<=[\s([{,|+]|\.\.\.|_(?:before|after|between|of|for|to)_)/g;
/** What may stand behind it: `A_myl0_5`, `A_clone_1`, `A_input_quantize`; of ONNX Runtime `A/MatMulAddFusion`. */
const ENDS = /$|(?=[\s)\]},|+]|\.\.\.|_(?:myl\d|clone|copy|input|output|transposed?|cast|bias|\d+(?:$|[\s)\]},]))|\/[A-Za-z]+Fusion)/g;

function boundaries(text: string, pattern: RegExp): number[] {
  return [...text.matchAll(pattern)].map(({index}) => index);
}

function plainNames(text: string): string[] {
  let inner = withoutProfile(text).replace(/^Reformatting CopyNode for (?:Input|Output) Tensor \d+ to /, '');
  inner = inner.replaceAll(/\bPWN\(|\{ForeignNode\[|\]\}/g, ' , ').replaceAll('...', ' , ');
  const parts = inner.split(/ \+ | \|\| |\s*,\s+|\s+,/).map((part) => unmatchedEnd(part.trim().replace(/_myl\d+_\d+$/, '')));
  return unique(parts.filter((part) => part !== '' && !MADE_BY_TENSORRT.test(part)));
}

/** `A)` of `PWN(A)`, whose beginning went; a name may have parentheses of its own. */
function unmatchedEnd(text: string): string {
  let end = text.length;
  const count = (character: string) => text.slice(0, end).split(character).length - 1;
  while (text[end - 1] === ')' && count(')') > count('(')) end--;
  return text.slice(0, end);
}

const MADE_BY_TENSORRT = /^(?:\(Unnamed Layer\*|__myl|__mye|\[|ONNXTRT_|\d+$|Reformat)/;

const RANGE = /\{ForeignNode\[(.*)\.\.\.(.*)\]\}/s;

function fillRanges(
  layers: readonly NamedLayer[],
  origins: string[][],
  known: readonly string[],
  index: ReadonlyMap<string, number>,
): void {
  const named = new Set(origins.flat());
  for (const [at, {name, metadata}] of layers.entries()) {
    const range = metadataOrigins(metadata).length > 0 ? null : RANGE.exec(name);
    if (range === null || /^Reformatting /.test(name)) continue;
    const ends = origins[at]!.map((each) => index.get(each)!);
    if (ends.length < 2) continue;
    const between = known.slice(Math.min(...ends), Math.max(...ends) + 1).filter((each) => !named.has(each));
    origins[at]!.push(...between);
    for (const each of between) named.add(each);
  }
}

function unique(names: readonly string[]): string[] {
  return [...new Set(names)];
}
