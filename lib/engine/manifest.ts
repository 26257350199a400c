/** `manifest.json` of an engine folder: what the plan beside it is, and what it runs on. */

import type {TensorType} from './tensor.js';

export interface ManifestTensor {
  name: string;
  type: TensorType;
  /** -1 where dynamic. */
  dims: number[];
  /** Inputs alone: one for each optimization profile. `values`: the range of a shape tensor's content. */
  profiles?: {min: number[]; opt: number[]; max: number[]; values?: {min: number[]; opt: number[]; max: number[]}}[];
}

export interface EngineManifest {
  /** Of this file. */
  formatVersion: 1;
  name: string;
  plan: {file: 'model.plan'; bytes: number; sha256: string};
  inputs: ManifestTensor[];
  outputs: ManifestTensor[];
  precision: string;
  stronglyTyped: boolean;
  /** The options of the build, with defaults applied, as they went into the key. */
  options: Record<string, unknown>;
  /** The ONNX model: its path from this folder, where there is one, and the hash of the file with its external data. */
  source: {file?: string; sha256: string};
  /** Hash of model, weights, options, TensorRT and GPU: what the engine cache knows this engine by. */
  key: string;
  tensorrt: {version: string; versionCompatible: boolean};
  gpu: {name: string; computeCapability: string; hardwareCompatibility: 'none' | 'ampere-plus' | 'same-compute-capability'};
  package: string;
  layers: number;
  /** Activation memory of one execution context in bytes, the largest of all profiles. */
  deviceMemoryBytes: number;
  refittable: boolean;
  /** Holds no weights: they come from the ONNX model at load. */
  stripped: boolean;
  weightStreaming: boolean;
  /** Seconds. */
  buildSeconds: number;
  /** ISO 8601. */
  builtAt: string;
}
