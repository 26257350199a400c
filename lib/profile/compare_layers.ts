/** What changed between the layers of two engines, or of one at two times. Microseconds of one run, medians. */

import type {LayerProfile, LayerTime} from '../engine/layer_profile.js';
import type {Change} from './compare.js';

export interface LayerChange {
  name: string;
  /** As in LayerTime. */
  part?: string;
  /** Where the layer of the same ONNX nodes is called otherwise before. */
  nameBefore?: string;
  nodes: string[];
  /** 0 where there is no such layer. */
  microseconds: Change;
  came?: boolean;
  went?: boolean;
  /** Where it changed; as type and precision. */
  tactic?: {before?: string; after?: string};
  type?: {before?: string; after?: string};
  precision?: {before?: string; after?: string};
}

export interface LayerComparison {
  run: Change;
  /** The largest change first; what is the same in both is left out. */
  layers: LayerChange[];
}

type Compared = Pick<LayerProfile, 'runMicroseconds'> & {layers: readonly LayerTime[]};

/** Layers are the same by their names, else by the ONNX nodes that they were made of. */
export function compareLayers(before: Compared, after: Compared): LayerComparison {
  const left = new Map(before.layers.map((layer) => [nameKey(layer), layer]));
  const pairs: [LayerTime | undefined, LayerTime | undefined][] = [];
  const unnamed: LayerTime[] = [];
  for (const layer of after.layers) {
    const same = left.get(nameKey(layer));
    if (same === undefined) unnamed.push(layer);
    else pairs.push([same, layer]);
    left.delete(nameKey(layer));
  }
  const byNodes = new Map([...left.values()].filter(({nodes}) => nodes.length > 0).map((layer) => [nodesKey(layer), layer]));
  for (const layer of unnamed) {
    const same = byNodes.get(nodesKey(layer));
    pairs.push([same, layer]);
    if (same === undefined) continue;
    byNodes.delete(nodesKey(layer));
    left.delete(nameKey(same));
  }
  for (const layer of left.values()) pairs.push([layer, undefined]);
  return {
    run: {before: before.runMicroseconds, after: after.runMicroseconds},
    layers: pairs
      .map(([a, b]) => changeOf(a, b))
      .filter(
        ({name, part, nodes, microseconds, ...others}) => Object.keys(others).length > 0 || microseconds.before !== microseconds.after,
      )
      .sort((a, b) => difference(b) - difference(a)),
  };
}

function changeOf(before: LayerTime | undefined, after: LayerTime | undefined): LayerChange {
  const {name, nodes, part} = (after ?? before)!;
  const word = (key: 'tactic' | 'type' | 'precision') =>
    before === undefined || after === undefined || before[key] === after[key] ? {} : {[key]: {before: before[key], after: after[key]}};
  return {
    name,
    ...(part === undefined ? {} : {part}),
    nodes,
    microseconds: {before: before?.medianMicroseconds ?? 0, after: after?.medianMicroseconds ?? 0},
    ...(before !== undefined && after !== undefined && before.name !== name ? {nameBefore: before.name} : {}),
    ...(before === undefined ? {came: true} : {}),
    ...(after === undefined ? {went: true} : {}),
    ...word('tactic'),
    ...word('type'),
    ...word('precision'),
  };
}

function nameKey({part = '', name}: LayerTime): string {
  return JSON.stringify([part, name]);
}

function nodesKey({part = '', nodes}: LayerTime): string {
  return JSON.stringify([part, ...nodes.toSorted()]);
}

function difference({microseconds}: LayerChange): number {
  return Math.abs(microseconds.after - microseconds.before);
}
