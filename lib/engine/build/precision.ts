/** How a network is typed, and which precisions the builder may take. */

import {OptionError} from '../../errors.js';
import type {NativeBuilderFlag} from '../../native/engine_addon.js';
import {DataType} from '../../onnx/data_type.js';
import {intAttribute, tensorInfo} from '../../onnx/graph.js';
import {graphsOf, type Model} from '../../onnx/model.js';
import type {BuildOptions, LayerPrecision, Precision} from './options.js';

/** What a model says of its own types. */
export interface ModelTypes {
  /** It has QuantizeLinear or DequantizeLinear nodes, of these types. */
  quantized: ReadonlySet<'int8' | 'fp8' | 'other'>;
  /** Of its initializers and inputs. */
  half: 'fp16' | 'bf16' | undefined;
}

export interface Typing {
  precision: Precision;
  stronglyTyped: boolean;
  flags: NativeBuilderFlag[];
  /** The values of int8 tensors come from calibration. */
  needsCalibration: boolean;
}

const QDQ = new Set(['QuantizeLinear', 'DequantizeLinear']);

export function typesOf(model: Model): ModelTypes {
  const quantized = new Set<'int8' | 'fp8' | 'other'>();
  let half: ModelTypes['half'];
  for (const graph of graphsOf(model.proto)) {
    const tensors = new Map(graph.initializer.map((tensor) => [tensor.name, tensor.dataType]));
    const inputs = graph.input.map((input) => tensorInfo(input)?.type);
    for (const type of [...tensors.values(), ...inputs]) {
      if (type === DataType.FLOAT16) half = 'fp16';
      if (type === DataType.BFLOAT16) half ??= 'bf16';
    }
    const constants = new Map(
      graph.node
        .filter(({opType}) => opType === 'Constant')
        .map(({output, attribute}) => [output[0], attribute.find(({name}) => name === 'value')?.t?.dataType]),
    );
    for (const node of graph.node) {
      if (!QDQ.has(node.opType)) continue;
      const zeroPoint = node.input[2];
      // The zero point has the quantized type, or the weights have, or the node says so; else it is uint8.
      const operand = node.opType === 'DequantizeLinear' ? tensors.get(node.input[0]!) : undefined;
      const type =
        (zeroPoint && (tensors.get(zeroPoint) ?? constants.get(zeroPoint))) ||
        operand ||
        intAttribute(node, 'output_dtype', 0) ||
        DataType.UINT8;
      // A DequantizeLinear without any of them takes what a QuantizeLinear made, which is counted by itself.
      if (node.opType === 'DequantizeLinear' && !zeroPoint && operand === undefined) continue;
      quantized.add(type === DataType.INT8 ? 'int8' : type === DataType.FLOAT8E4M3FN ? 'fp8' : 'other');
    }
  }
  return {quantized, half};
}

/** Throws OptionError where options contradict each other or the model, and says what to give instead. */
export function chooseTyping(types: ModelTypes, options: BuildOptions): Typing {
  const {typing = 'auto', precision, weightStreaming = false, layers = [], calibration} = options;
  const own = ownPrecision(types);
  const stronglyTyped = typing === 'strong' || (typing === 'auto' && (own !== undefined || streamsAsItIs(weightStreaming, precision)));
  if (weightStreaming && !stronglyTyped) {
    throw new OptionError(
      'weightStreaming',
      "false unless the build is strongly typed (typing: 'strong', or a model that carries its types)",
      true,
    );
  }
  if (calibration !== undefined && (stronglyTyped || precision !== 'int8' || types.quantized.size > 0)) {
    throw new OptionError('calibration', "left out unless precision is 'int8', typing is weak and the model has no Q/DQ", calibration);
  }
  if (stronglyTyped) return strong(own, options);
  const chosen = precision ?? (own === 'fp8' ? 'fp8' : (own ?? 'fp32'));
  if (chosen === 'fp8' && !types.quantized.has('fp8')) throw new OptionError('precision', NEEDS_FP8, precision);
  const needsCalibration = chosen === 'int8' && types.quantized.size === 0;
  if (needsCalibration && calibration === undefined) {
    throw new OptionError(
      'calibration',
      "given for precision 'int8', as the model has no QuantizeLinear and DequantizeLinear nodes",
      calibration,
    );
  }
  const flags = [...WEAK_FLAGS[chosen]];
  if (layers.length > 0) flags.push(options.layerConstraints === 'prefer' ? 'prefer-precision-constraints' : 'obey-precision-constraints');
  for (const [index, layer] of layers.entries()) {
    for (const name of ['precision', 'outputType'] as const) checkLayerPrecision(`layers[${index}].${name}`, layer[name], chosen, flags);
  }
  return {precision: chosen, stronglyTyped: false, flags, needsCalibration};
}

const NEEDS_FP8 =
  "another than 'fp8' for this model: it has no QuantizeLinear and DequantizeLinear nodes of float8, and TensorRT does not calibrate fp8; quantize the model first (such as with NVIDIA's Model Optimizer)";

/** Layers fall back on TF32 where halves are allowed anyway: it has as many bits as fp16. */
const WEAK_FLAGS: Readonly<Record<Precision, readonly NativeBuilderFlag[]>> = {
  fp32: [],
  tf32: ['tf32'],
  fp16: ['fp16', 'tf32'],
  bf16: ['bf16', 'tf32'],
  int8: ['int8', 'fp16', 'tf32'],
  fp8: ['fp8', 'fp16', 'tf32'],
};

/** fp32 and TF32 are the same network strongly typed, and only that can stream its weights. */
function streamsAsItIs(weightStreaming: boolean, precision: Precision | undefined): boolean {
  return weightStreaming && (precision ?? 'fp32').endsWith('32');
}

/** What the model's types say it runs in; undefined for a plain fp32 model. */
function ownPrecision({quantized, half}: ModelTypes): Precision | undefined {
  if (quantized.has('fp8')) return 'fp8';
  if (quantized.has('int8')) return 'int8';
  // Weights of 4 bits are taken apart before they are multiplied.
  return quantized.size > 0 ? (half ?? 'fp32') : half;
}

function strong(own: Precision | undefined, {precision, layers = []}: BuildOptions): Typing {
  const allowed: Precision[] = own === undefined || own === 'fp32' ? ['fp32', 'tf32'] : [own];
  if (precision !== undefined && !allowed.includes(precision)) {
    const carried =
      own === undefined
        ? 'the model is in fp32'
        : own === 'int8' || own === 'fp8'
          ? `the model has Q/DQ of ${own}`
          : `the model is in ${own}`;
    throw new OptionError(
      'precision',
      `${allowed.map((each) => `'${each}'`).join(' or ')} or left out in a strongly typed build, as ${carried}; with typing: 'weak' TensorRT chooses`,
      precision,
    );
  }
  if (layers.length > 0)
    throw new OptionError(
      'layers',
      "left out in a strongly typed build: the model's types count; typing: 'weak' lets layers be set",
      layers,
    );
  const chosen = precision ?? own ?? 'fp32';
  return {precision: chosen, stronglyTyped: true, flags: chosen === 'tf32' ? ['tf32'] : [], needsCalibration: false};
}

function checkLayerPrecision(
  option: string,
  wanted: LayerPrecision | undefined,
  precision: Precision,
  flags: readonly NativeBuilderFlag[],
): void {
  if (wanted === undefined || wanted === 'fp32' || flags.includes(wanted)) return;
  throw new OptionError(option, `'fp32' or one that precision '${precision}' allows`, wanted);
}
