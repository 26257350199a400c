/** What TensorRT's engine inspector tells of a plan, typed. */

import {TensorrtNodeError} from '../errors.js';

export interface LayerTensor {
  name: string;
  dims: number[];
  /** TensorRT's words: 'Row major linear FP32 format'. */
  format: string;
}

/** Plans tell all of this when built with profiling verbosity 'detailed', and names alone otherwise. */
export interface EngineLayer {
  name: string;
  /** TensorRT's words: 'CaskConvolution', 'Myelin', 'Reformat', … */
  type?: string;
  /** Element type of the layer's first output, by TensorRT's name, where the format tells it: 'FP16'. */
  precision?: string;
  inputs?: LayerTensor[];
  outputs?: LayerTensor[];
  /** The kernel chosen. */
  tactic?: string;
  /** The layer of the ONNX model it was made of. */
  metadata?: string;
  /** Bytes of constant weights, where told. */
  weightBytes?: number;
  /** All that the inspector told. */
  details?: Readonly<Record<string, unknown>>;
}

/** `text` is the inspector's JSON. Throws TensorrtNodeError (ERR_TENSORRT) if it is not what TensorRT writes. */
export function parseLayers(text: string): EngineLayer[] {
  const json = parsed(text);
  const layers = isObject(json) ? json.Layers : undefined;
  if (!Array.isArray(layers)) throw new TensorrtNodeError('ERR_TENSORRT', "the engine inspector's text has no list of layers");
  return layers.map(layer);
}

/** TensorRT 10.6 leaves what is special in JSON as it is: separators of metadata, backslashes in names, numbers that are none, commas with nothing behind. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {}
  const mended = text
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is not allowed.
    .replaceAll(/[\u0000-\u001f]/g, (each) => (/\s/.test(each) ? ' ' : `\\u00${each.charCodeAt(0).toString(16).padStart(2, '0')}`))
    .replaceAll(/\\(?!["\\/bfnrtu])/g, '\\\\')
    .replaceAll(/([:,[]\s*)-?(?:nan|inf|infinity)(?=\s*[,\]}])/gi, '$1null')
    .replaceAll(/,(?=\s*[\]}])/g, '');
  try {
    return JSON.parse(mended);
  } catch (cause) {
    throw new TensorrtNodeError('ERR_TENSORRT', `the engine inspector's text is not JSON: ${(cause as Error).message}`, undefined, {cause});
  }
}

function layer(json: unknown): EngineLayer {
  // Below detailed verbosity a layer is its name.
  if (!isObject(json)) return {name: String(json)};
  const outputs = tensors(json.Outputs);
  return {
    name: String(json.Name ?? ''),
    type: text(json.LayerType),
    precision: outputs.map(({format}) => PRECISION.exec(format)?.[0]).find((each) => each !== undefined),
    inputs: tensors(json.Inputs),
    outputs,
    tactic: text(json.TacticName) ?? text(json.TacticValue),
    metadata: text(json.Metadata),
    weightBytes: bytesOfWeights(json),
    details: json,
  };
}

const PRECISION = /\b(FP32|FP16|BF16|FP8|FP4|INT64|INT32|INT8|UINT8|INT4|BOOL|Float|Half|BFloat16|Int8|Int32|Int64|Bool)\b/i;

function tensors(json: unknown): LayerTensor[] {
  if (!Array.isArray(json)) return [];
  return json.filter(isObject).map((each) => ({
    name: String(each.Name ?? ''),
    dims: Array.isArray(each.Dimensions) ? each.Dimensions.map(Number) : [],
    format: text(each['Format/Datatype']) ?? text(each.Format) ?? '',
  }));
}

/** Convolutions and the like tell their weights as {"Type": "Half", "Count": 864}. */
function bytesOfWeights(json: Record<string, unknown>): number | undefined {
  const sizes = [json.Weights, json.Bias].filter(isObject).map(({Type, Count}) => Number(Count) * (TYPE_BYTES.get(String(Type)) ?? 4));
  return sizes.length === 0 ? undefined : sizes.reduce((sum, each) => sum + each, 0);
}

const TYPE_BYTES: ReadonlyMap<string, number> = new Map([
  ['Float', 4],
  ['Half', 2],
  ['BFloat16', 2],
  ['Int8', 1],
  ['FP8', 1],
  ['Int32', 4],
  ['Int64', 8],
]);

function text(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
