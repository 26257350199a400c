/** Makes ONNX graphs, or adds to them: names stay unique, types and attributes need no protobuf by hand. */

import {create} from '@bufbuild/protobuf';

import {checkModel} from './check.js';
import {DataType, tensorByteLength} from './data_type.js';
import {graphsOf, Model} from './model.js';
import {
  type AttributeProto,
  AttributeProtoSchema,
  AttributeProto_AttributeType as AttributeType,
  GraphProtoSchema,
  ModelProtoSchema,
  type NodeProto,
  NodeProtoSchema,
  OperatorSetIdProtoSchema,
  TensorProtoSchema,
  type ValueInfoProto,
  ValueInfoProtoSchema,
} from './onnx_pb.js';
import {BytesSource, type TensorSource} from './tensor_source.js';

/** An attribute's value; made by the functions below, as a number alone does not say whether it is an int or a float. */
type AttributeValue = (name: string) => AttributeProto;

export const int =
  (value: number | bigint): AttributeValue =>
  (name) =>
    create(AttributeProtoSchema, {name, type: AttributeType.INT, i: BigInt(value)});
export const float =
  (value: number): AttributeValue =>
  (name) =>
    create(AttributeProtoSchema, {name, type: AttributeType.FLOAT, f: value});
export const string =
  (value: string): AttributeValue =>
  (name) =>
    create(AttributeProtoSchema, {name, type: AttributeType.STRING, s: Buffer.from(value)});
export const ints =
  (values: readonly (number | bigint)[]): AttributeValue =>
  (name) =>
    create(AttributeProtoSchema, {name, type: AttributeType.INTS, ints: values.map(BigInt)});

export interface NodeOptions {
  /** Default '', the ONNX standard. The model imports a version of each domain it uses. */
  domain?: string;
  /** Made unique. Default: the operator's name. */
  name?: string;
  attributes?: Readonly<Record<string, AttributeValue>>;
}

export interface OneOutput extends NodeOptions {
  /** Name of the value it makes, taken as it is. Default: called after the node. */
  output?: string | undefined;
}

export interface ManyOutputs extends NodeOptions {
  /** Names of the values it makes, taken as they are; '' leaves an optional one out. */
  outputs: readonly string[];
}

export interface GraphBuilderOptions {
  name: string;
  /** Version of each domain's operators: `{'': 21, 'com.microsoft': 1}`. */
  opsets: Readonly<Record<string, number>>;
  /** Default 10. */
  irVersion?: number;
}

export class GraphBuilder {
  readonly #values = new Set<string>();
  readonly #nodes = new Set<string>();

  private constructor(readonly model: Model) {
    for (const graph of graphsOf(model.proto)) {
      for (const {name} of [...graph.input, ...graph.initializer]) this.#values.add(name);
      for (const {name, output} of graph.node) {
        this.#nodes.add(name);
        for (const each of output) this.#values.add(each);
      }
    }
  }

  static create({name, opsets, irVersion = 10}: GraphBuilderOptions): GraphBuilder {
    return new GraphBuilder(
      new Model(
        create(ModelProtoSchema, {
          irVersion: BigInt(irVersion),
          producerName: 'tensorrt-node',
          opsetImport: Object.entries(opsets).map(([domain, version]) =>
            create(OperatorSetIdProtoSchema, {domain, version: BigInt(version)}),
          ),
          graph: create(GraphProtoSchema, {name}),
        }),
      ),
    );
  }

  /** Adds to a model that exists, changing it. Nodes go at the end of the graph: order them with `topologicalOrder` if others take from them. */
  static extend(model: Model): GraphBuilder {
    return new GraphBuilder(model);
  }

  /** Whether a value is called `name`. */
  has(name: string): boolean {
    return this.#values.has(name);
  }

  /** A name for a value: `prefix` itself if it is free, else with a number behind it. Taken from now on. */
  uniqueName(prefix: string): string {
    return uniqueName(prefix, this.#values);
  }

  /**
   * Calls the value `output` that `node` makes by a new name, made unique from `prefix` and returned, so that another
   * node can make `output`, and whatever takes it need not change.
   */
  renameOutput(node: NodeProto, output: string, prefix: string): string {
    const name = this.uniqueName(prefix);
    node.output = node.output.map((each) => (each === output ? name : each));
    this.#values.delete(output);
    return name;
  }

  /** Makes sure that the model imports operators of `domain`, at `version` if it does not yet. */
  importOpset(domain: string, version: number): void {
    const {opsetImport} = this.model.proto;
    if (opsetImport.some((each) => each.domain === domain)) return;
    opsetImport.push(create(OperatorSetIdProtoSchema, {domain, version: BigInt(version)}));
  }

  /** `dims`: numbers, or names for those known only at run time. Returns the name. */
  input(name: string, type: DataType, dims: readonly (number | string)[]): string {
    this.#claim(name);
    this.model.graph.input.push(valueInfo(name, type, dims));
    return name;
  }

  /** Declares a value that some node makes as an output of the graph. */
  output(name: string, type: DataType, dims: readonly (number | string)[]): void {
    this.model.graph.output.push(valueInfo(name, type, dims));
  }

  /** Returns the name. Throws RangeError if `data` has not the bytes that type and shape ask for. */
  initializer(name: string, type: DataType, dims: readonly number[], data: Uint8Array | TensorSource): string {
    this.#claim(name);
    const source = data instanceof Uint8Array ? new BytesSource(data) : data;
    const expected = tensorByteLength(dims, type);
    if (source.byteLength !== expected) {
      throw new RangeError(
        `initializer '${name}' of ${DataType[type]} [${dims.join(', ')}] needs ${expected} bytes, got ${source.byteLength}`,
      );
    }
    const tensor = create(TensorProtoSchema, {name, dataType: type, dims: dims.map(BigInt)});
    this.model.setSource(tensor, source);
    this.model.graph.initializer.push(tensor);
    return name;
  }

  /** A constant of 64-bit integers; a vector unless `dims` says otherwise. Returns the name, made unique. */
  int64(name: string, values: readonly number[], dims: readonly number[] = [values.length]): string {
    const bytes = new Uint8Array(BigInt64Array.from(values.map(BigInt)).buffer);
    return this.initializer(free(name, this.#values), DataType.INT64, dims, bytes);
  }

  /** A constant of 32-bit floats; a vector unless `dims` says otherwise. Returns the name, made unique. */
  float32(name: string, values: readonly number[], dims: readonly number[] = [values.length]): string {
    return this.initializer(free(name, this.#values), DataType.FLOAT, dims, new Uint8Array(Float32Array.from(values).buffer));
  }

  /** A node that makes one value. Returns the value's name. */
  op(opType: string, inputs: readonly string[], {output, ...options}: OneOutput = {}): string {
    const name = this.#nodeName(options.name ?? opType);
    if (output !== undefined) this.#claim(output);
    const made = output ?? this.uniqueName(`${name}/output`);
    this.#push(opType, inputs, [made], name, options);
    return made;
  }

  /** A node that makes the values named. */
  node(opType: string, inputs: readonly string[], {outputs, ...options}: ManyOutputs): void {
    for (const output of outputs) if (output !== '') this.#claim(output);
    this.#push(opType, inputs, outputs, this.#nodeName(options.name ?? opType), options);
  }

  /** The model, checked: throws FormatError (ERR_ONNX) as `checkModel` does. */
  build(): Model {
    checkModel(this.model.proto, this.model.label);
    return this.model;
  }

  #push(opType: string, input: readonly string[], output: readonly string[], name: string, {domain, attributes}: NodeOptions): void {
    const attribute = Object.entries(attributes ?? {}).map(([key, value]) => value(key));
    this.model.graph.node.push(
      create(NodeProtoSchema, {opType, input: [...input], output: [...output], name, attribute, ...(domain ? {domain} : {})}),
    );
  }

  #claim(value: string): void {
    if (this.#values.has(value)) throw new RangeError(`'${value}' is taken`);
    this.#values.add(value);
  }

  #nodeName(prefix: string): string {
    return uniqueName(prefix, this.#nodes);
  }
}

/** `prefix` itself if it is not taken, else with a number behind it. Taken from now on. */
export function uniqueName(prefix: string, taken: Set<string>): string {
  const name = free(prefix, taken);
  taken.add(name);
  return name;
}

function free(prefix: string, taken: ReadonlySet<string>): string {
  let name = prefix;
  for (let count = 1; taken.has(name); count++) name = `${prefix}_${count}`;
  return name;
}

export function valueInfo(name: string, type: DataType, dims: readonly (number | string)[]): ValueInfoProto {
  const dim = dims.map((each) => ({
    value: typeof each === 'number' ? {case: 'dimValue' as const, value: BigInt(each)} : {case: 'dimParam' as const, value: each},
  }));
  return create(ValueInfoProtoSchema, {name, type: {value: {case: 'tensorType', value: {elemType: type, shape: {dim}}}}});
}
