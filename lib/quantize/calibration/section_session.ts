/** A section of a model in ONNX Runtime, with its matrices as inputs: the same session runs before and after they are rounded. */

import {create} from '@bufbuild/protobuf';
import * as ort from 'onnxruntime-node';

import {serialize} from '../../backend/cpu/rewrite/serialize.js';
import {float16ToFloat32} from '../../import/numeric/float16.js';
import {topologicalOrder} from '../../onnx/check.js';
import {DataType} from '../../onnx/data_type.js';
import {namesIn, tensorInfo} from '../../onnx/graph.js';
import {GraphBuilder, int} from '../../onnx/graph_builder.js';
import {Model} from '../../onnx/model.js';
import {
  GraphProtoSchema,
  ModelProtoSchema,
  type NodeProto,
  NodeProtoSchema,
  type TensorProto,
  TensorProtoSchema,
} from '../../onnx/onnx_pb.js';
import {floatArray, floatTensor} from '../../onnxruntime/float_tensor.js';
import {createSession} from '../../onnxruntime/session.js';
import type {Weight} from '../weights.js';
import type {Section, SectionedGraph} from './sections.js';

export interface SectionOptions {
  model: Model;
  graph: SectionedGraph;
  section: Section;
  /** The matrices of the model; those that the section takes are given with each run. */
  weights: readonly Weight[];
  /** Values that are looked at besides the section's output. */
  captured: readonly string[];
  /** What earlier sections made that depends on the number of tokens alone. */
  carried: ReadonlyMap<string, ort.Tensor>;
  threads: number;
}

/** Initializers of more bytes are inputs: they are not copied into the session. */
const LARGE = 2 ** 18;

export class SectionSession implements AsyncDisposable {
  private constructor(
    private readonly session: ort.InferenceSession,
    readonly section: Section,
    private readonly fixed: ReadonlyMap<string, ort.Tensor>,
    /** Inputs of the model itself. */
    private readonly inputs: readonly {name: string; type: DataType; dims: readonly (number | string)[]}[],
    readonly weights: readonly Weight[],
    /** Values of the section that other sections may want, alike for all sequences. */
    readonly shapes: readonly string[],
  ) {}

  static async create(options: SectionOptions): Promise<SectionSession> {
    const {model, section, carried, threads} = options;
    const part = partOf(options);
    const fixed = new Map<string, ort.Tensor>();
    for (const tensor of part.large) fixed.set(tensor.name, await tensorOf(model, tensor));
    for (const name of part.carried) fixed.set(name, carried.get(name)!);
    const path = model.path ?? 'model.onnx';
    const session = await createSession({path, bytes: await serialize(part.model), proto: part.model.proto, threads});
    const inputs = model.graph.input
      .filter(({name}) => part.inputs.has(name))
      .map((info) => ({name: info.name, type: tensorInfo(info)?.type as DataType, dims: tensorInfo(info)?.dims ?? []}));
    return new SectionSession(session, section, fixed, inputs, part.weights, part.shapes);
  }

  /** Values of `names` for one sequence: its tokens in the first section, the hidden rows in others. */
  async run(
    given: Uint32Array | ort.Tensor,
    length: number,
    values: ReadonlyMap<Weight, Float32Array>,
    names: readonly string[],
  ): Promise<Readonly<Record<string, ort.Tensor>>> {
    const feeds: Record<string, ort.Tensor> = Object.fromEntries(this.fixed);
    for (const {name, type, dims} of this.inputs) feeds[name] = inputTensor(name, type, dims, given, length);
    if (this.section.input !== undefined) feeds[this.section.input] = given as ort.Tensor;
    for (const weight of this.weights) {
      const {outer, inner} = weight.reader;
      feeds[inputOf(weight)] = new ort.Tensor('float32', values.get(weight)!, [outer, inner]);
    }
    return (await this.session.run(feeds, [...names])) as Record<string, ort.Tensor>;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.session.release();
  }
}

/** The numbers of a result, as float32. */
export function floatsOf({data, type}: ort.Tensor): Float32Array {
  if (type === 'float32') return data as Float32Array;
  const view = data as unknown as Uint16Array;
  return float16ToFloat32(new Uint16Array(view.buffer, view.byteOffset, view.length));
}

function inputTensor(name: string, type: DataType, dims: readonly (number | string)[], given: unknown, length: number): ort.Tensor {
  const int64 = (value: (at: number) => number) =>
    new ort.Tensor(
      'int64',
      BigInt64Array.from({length}, (_, at) => BigInt(value(at))),
      [1, length],
    );
  if (name === 'input_ids') return int64((at) => (given as Uint32Array)[at]!);
  if (name === 'position_ids') return int64((at) => at);
  if (name === 'attention_mask') return int64(() => 1);
  // A past of no tokens.
  const shape = dims.map((dim, at) => (at === 0 ? 1 : typeof dim === 'number' ? dim : 0));
  return floatTensor(floatArray(type === DataType.FLOAT16 ? 'float16' : 'float32', 0), shape);
}

interface Part {
  model: Model;
  large: TensorProto[];
  inputs: Set<string>;
  carried: string[];
  weights: Weight[];
  shapes: string[];
}

/** The nodes that the section's values need, products with matrices as products with inputs. */
function partOf({model, graph: {depends}, section, weights, captured}: SectionOptions): Part {
  const {graph} = model;
  const uses = new Map(weights.flatMap((weight) => weight.uses.map((use) => [use.node, {weight, use}] as const)));
  const order = topologicalOrder(graph, model.label);
  const initializers = new Map(graph.initializer.map((tensor) => [tensor.name, tensor]));
  const modelInputs = new Set(graph.input.map(({name}) => name));
  // Of what depends on the tokens' number alone other sections may want the value.
  const shapes = order.filter((node) => section.nodes.has(node) && isCarried(node, depends)).flatMap(({output}) => output);
  const outputs = [...(section.output ? [section.output] : []), ...captured, ...shapes];

  const needed = new Set(outputs);
  const nodes: NodeProto[] = [];
  const carried: string[] = [];
  for (const node of [...order].reverse()) {
    const made = node.output.filter((output) => needed.has(output));
    if (made.length === 0) continue;
    if (!section.nodes.has(node) && isCarried(node, depends)) {
      carried.push(...made);
      continue;
    }
    if (!section.nodes.has(node) && made.some(depends)) continue; // the section's input
    nodes.unshift(node);
    const used = uses.get(node);
    for (const name of used ? [used.use.input, used.use.bias ?? ''] : namesIn(node)) if (name !== '') needed.add(name);
  }
  const stored = [...needed].flatMap((name) => (modelInputs.has(name) ? [] : (initializers.get(name) ?? [])));
  const large = stored.filter((tensor) => model.source(tensor).byteLength > LARGE);
  const small = stored.filter((tensor) => !large.includes(tensor));

  // Copies: serializing puts bytes into them, and nodes are changed.
  const initializer = small.map((tensor) => Object.assign(create(TensorProtoSchema), tensor));
  const inputs = graph.input.filter(({name}) => needed.has(name));
  const proto = Object.assign(create(ModelProtoSchema), model.proto, {
    opsetImport: [...model.proto.opsetImport],
    graph: Object.assign(create(GraphProtoSchema), {
      name: section.name,
      node: nodes.filter((node) => !uses.has(node)).map((node) => Object.assign(create(NodeProtoSchema), node)),
      initializer,
      input: [...inputs],
    }),
  });
  const part = new Model(proto, model.path, model.fileBytes);
  for (const [at, tensor] of small.entries()) part.setSource(initializer[at]!, model.source(tensor));
  const builder = GraphBuilder.extend(part);
  builder.importOpset('com.microsoft', 1);
  const taken = new Set<Weight>();
  for (const node of nodes) {
    const found = uses.get(node);
    if (!found) continue;
    const {weight, use} = found;
    if (!taken.has(weight)) builder.input(inputOf(weight), DataType.FLOAT, [weight.reader.outer, weight.reader.inner]);
    taken.add(weight);
    const cast = (value: string, to: DataType, output?: string) => builder.op('Cast', [value], {attributes: {to: int(to)}, output});
    const half = weight.type !== DataType.FLOAT;
    const target = half || use.bias !== undefined ? undefined : use.output;
    let value =
      use.kind === 'rows'
        ? builder.op('Gather', [inputOf(weight), use.input], {output: target})
        : builder.op('FusedMatMul', [half ? cast(use.input, DataType.FLOAT) : use.input, inputOf(weight)], {
            domain: 'com.microsoft',
            attributes: {transB: int(1)},
            output: target,
          });
    if (half) value = cast(value, weight.type, use.bias === undefined ? use.output : undefined);
    if (use.bias !== undefined) builder.op('Add', [value, use.bias], {output: use.output});
  }
  if (section.input !== undefined) builder.input(section.input, typeOfHidden(weights), []);
  for (const tensor of large) builder.input(tensor.name, tensor.dataType as DataType, tensor.dims.map(Number));
  for (const name of carried) builder.input(name, DataType.INT64, []);
  for (const info of part.graph.input) {
    // Shapes of these are what they are given with.
    if (info.name !== section.input && !carried.includes(info.name)) continue;
    if (info.type?.value.case === 'tensorType') info.type.value.value.shape = undefined;
  }
  for (const name of outputs) builder.output(name, DataType.UNDEFINED, []);
  for (const output of part.graph.output) output.type = undefined;
  part.graph.node = topologicalOrder(part.graph, part.label);
  return {model: part, large, inputs: new Set(inputs.map(({name}) => name)), carried, weights: [...taken], shapes};
}

/** Whether a node tells the shape of a value that depends on the tokens, which is not there in other sections. */
function isCarried({opType, input}: NodeProto, depends: (value: string) => boolean): boolean {
  return opType === 'Shape' && depends(input[0]!) && input[0] !== 'input_ids';
}

/** Rows and products have one type. */
function typeOfHidden(weights: readonly Weight[]): DataType {
  return weights[0]?.type ?? DataType.FLOAT;
}

function inputOf({name}: Weight): string {
  return `${name}.matrix`;
}

async function tensorOf(model: Model, tensor: TensorProto): Promise<ort.Tensor> {
  const bytes = (await model.readTensorData(tensor)).slice();
  const dims = tensor.dims.map(Number);
  switch (tensor.dataType) {
    case DataType.FLOAT:
      return new ort.Tensor('float32', new Float32Array(bytes.buffer), dims);
    case DataType.FLOAT16:
      return floatTensor(new Uint16Array(bytes.buffer), dims);
    case DataType.INT64:
      return new ort.Tensor('int64', new BigInt64Array(bytes.buffer), dims);
    case DataType.INT32:
      return new ort.Tensor('int32', new Int32Array(bytes.buffer), dims);
    case DataType.BOOL:
      return new ort.Tensor('bool', bytes, dims);
    default:
      return new ort.Tensor('uint8', bytes, dims);
  }
}
