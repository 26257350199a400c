/** How long the layers of an engine take: TensorRT's times joined to what its inspector tells, and to the ONNX nodes. */

import type {NativeLayerProfile} from '../native/engine_addon.js';
import {type EngineLayer, parseLayers} from './layers.js';
import {onnxOrigins, withoutProfile} from './onnx_origins.js';

/** A layer, or several of one name. Microseconds. */
export interface LayerTime {
  /** TensorRT's. */
  name: string;
  /** As in EngineLayer: plans built with profiling verbosity 'detailed' tell it, as tactic and precision. */
  type?: string;
  /** The ONNX nodes that it was made of, as far as TensorRT or the layer's name tells. */
  nodes: string[];
  tactic?: string;
  precision?: string;
  /** Of one run. */
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
  profiledRunMicroseconds: number;
}

export function layerProfile({layers, runs, profiledRuns, information}: NativeLayerProfile, nodes?: readonly string[]): LayerProfile {
  const found = byName(parseLayers(information));
  const told = layers.map(({name}) => found.get(name) ?? found.get(withoutProfile(name)) ?? {name});
  const origins = onnxOrigins(told, nodes);
  const totals = layers.map(({milliseconds}) => 1e3 * sum(milliseconds));
  const total = sum(totals);
  return {
    layers: layers.map(({name, milliseconds}, at) => {
      const {type, tactic, precision} = told[at]!;
      return {
        name,
        ...(type === undefined ? {} : {type}),
        nodes: origins[at]!,
        ...(tactic === undefined ? {} : {tactic}),
        ...(precision === undefined ? {} : {precision}),
        medianMicroseconds: 1e3 * median(milliseconds),
        totalMicroseconds: totals[at]!,
        share: total === 0 ? 0 : totals[at]! / total,
      };
    }),
    totalMicroseconds: total,
    runs: runs.length,
    runMicroseconds: 1e3 * median(runs),
    profiledRunMicroseconds: 1e3 * median(profiledRuns),
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
