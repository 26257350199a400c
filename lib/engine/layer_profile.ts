/** How long the layers of an engine take: TensorRT's times joined to what its inspector tells, and to the ONNX nodes. */

import type {NativeStepLayers} from '../native/decoder_addon.js';
import type {NativeLayerProfile, NativeLayerTimes} from '../native/engine_addon.js';
import {type EngineLayer, parseLayers} from './layers.js';
import {onnxOrigins, withoutProfile} from './onnx_origins.js';

/** A layer, or several of one name. Microseconds. */
export interface LayerTime {
  /** TensorRT's. */
  name: string;
  /** Of a language model: the part it belongs to, and how often a step runs that, which `totalMicroseconds` counts. */
  part?: string;
  count?: number;
  /** Of those, the weights that the layer reads, by their names in the part. */
  weights?: string[];
  /** As in EngineLayer: plans built with profiling verbosity 'detailed' tell it, as tactic and precision. */
  type?: string;
  /** The ONNX nodes that it was made of, as far as TensorRT or the layer's name tells. */
  nodes: string[];
  tactic?: string;
  precision?: string;
  /** Of one run, or of one run of the part. */
  medianMicroseconds: number;
  /** Of all runs. */
  totalMicroseconds: number;
  /** Of the total of all layers, 0 to 1. */
  share: number;
}

/** Microseconds. */
export interface LayerProfile {
  /** In the order in which they run. */
  layers: LayerTime[];
  /** Of all layers and runs. */
  totalMicroseconds: number;
  runs: number;
  /**
   * A run's time on the GPU, without copies, by events; the median. With the profiler it takes longer, as TensorRT then
   * puts events between its layers: of small layers a good part of their times is that.
   */
  runMicroseconds: number;
  /** Not of language models. */
  profiledRunMicroseconds?: number;
}

export function layerProfile({layers, runs, profiledRuns, information}: NativeLayerProfile, nodes?: readonly string[]): LayerProfile {
  return {
    ...withShares(timesOf(layers, information, nodes)),
    runs: runs.length,
    runMicroseconds: 1e3 * median(runs),
    profiledRunMicroseconds: 1e3 * median(profiledRuns),
  };
}

/** A part of a language model. */
export interface NamedPart {
  name: string;
  /** Inputs that hold weights. */
  weights: readonly string[];
}

/** Of a language model's step; `named` are its parts, in the order that their numbers mean. */
export function stepProfile({parts, steps}: NativeStepLayers, named: readonly NamedPart[]): LayerProfile {
  return {
    ...withShares(
      parts.flatMap(({part, count, layers, information}) => {
        const {name, weights} = named[part] ?? {name: String(part), weights: []};
        const found = byName(parseLayers(information));
        return timesOf(layers, information).map((layer) => {
          const read = (found.get(layer.name)?.inputs ?? []).map((input) => input.name).filter((input) => weights.includes(input));
          return {...layer, part: name, count, ...(read.length === 0 ? {} : {weights: read})};
        });
      }),
    ),
    runs: steps.length,
    runMicroseconds: 1e3 * median(steps),
  };
}

type Times = Omit<LayerTime, 'share'>;

function timesOf(layers: readonly NativeLayerTimes[], information: string, nodes?: readonly string[]): Times[] {
  const found = byName(parseLayers(information));
  const told = layers.map(({name}) => found.get(name) ?? found.get(withoutProfile(name)) ?? {name});
  const origins = onnxOrigins(told, nodes);
  return layers.map(({name, milliseconds}, at) => {
    const {type, tactic, precision} = told[at]!;
    return {
      name,
      ...(type === undefined ? {} : {type}),
      nodes: origins[at]!,
      ...(tactic === undefined ? {} : {tactic}),
      ...(precision === undefined ? {} : {precision}),
      medianMicroseconds: 1e3 * median(milliseconds),
      totalMicroseconds: 1e3 * sum(milliseconds),
    };
  });
}

function withShares(layers: readonly Times[]): Pick<LayerProfile, 'layers' | 'totalMicroseconds'> {
  const total = sum(layers.map(({totalMicroseconds}) => totalMicroseconds));
  return {
    layers: layers.map((layer) => ({...layer, share: total === 0 ? 0 : layer.totalMicroseconds / total})),
    totalMicroseconds: total,
  };
}

/** Whether some layer's origins are not told, so that names of the model's nodes help. */
export function wantsNames(information: string): boolean {
  return parseLayers(information).some(({metadata}) => metadata === undefined);
}

/** Those of one name together, as their times are. */
function byName(layers: readonly EngineLayer[]): Map<string, EngineLayer> {
  const found = new Map<string, EngineLayer>();
  for (const layer of layers) {
    const before = found.get(layer.name);
    const metadata = [before?.metadata, layer.metadata].filter((each) => each !== undefined).join('\x1e');
    found.set(layer.name, {...(before ?? layer), ...(metadata === '' ? {} : {metadata})});
  }
  return found;
}

function sum(values: Iterable<number>): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}

function median(values: Float32Array): number {
  const sorted = values.toSorted();
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
