/** Inputs as the builder is to see them: what the profiles fix is fixed, and names that they break are gone. */

import {clone, create, toBinary} from '@bufbuild/protobuf';

import type {Model} from '../../onnx/model.js';
import {
  ModelProtoSchema,
  type TensorShapeProto_Dimension,
  TensorShapeProto_DimensionSchema,
  type ValueInfoProto,
  ValueInfoProtoSchema,
} from '../../onnx/onnx_pb.js';
import type {NativeProfile} from './profiles.js';

export interface InputShapes {
  /** The model's message with its inputs changed; external data stays where it is. */
  model: Uint8Array;
  /** Without the inputs that have no dynamic dimension left. */
  profiles: NativeProfile[];
}

/**
 * A dimension of one size in all profiles is that size: TensorRT folds what depends on it. Dimensions of one name that
 * have different ranges lose the name: TensorRT takes equal names for equal sizes and refuses such profiles, and many
 * exporters call every unknown dimension the same. Undefined if there is nothing to change.
 */
export function inputShapes(model: Model, profiles: readonly NativeProfile[]): InputShapes | undefined {
  const inputs = dynamicInputs(model, profiles);
  const broken = brokenNames(inputs, profiles);
  let changed = false;
  const fixed = new Set<string>();
  const rewritten = new Map<string, ValueInfoProto>();
  for (const input of inputs) {
    const copy = clone(ValueInfoProtoSchema, input);
    const dims = dimsOf(copy);
    for (const [index, dim] of dims.entries()) {
      const next = specialised(dim, extentsOf(input.name, index, profiles), broken);
      if (next === undefined) continue;
      dims[index] = next;
      changed = true;
    }
    if (dims.every(isStatic)) fixed.add(input.name);
    rewritten.set(input.name, copy);
  }
  if (!changed) return undefined;
  return {
    model: withInputs(
      model,
      model.graph.input.map((input) => rewritten.get(input.name) ?? input),
    ),
    profiles: withoutInputs(profiles, fixed),
  };
}

type Extent = readonly [min: number, opt: number, max: number];

/** Those whose shape, and not only their content, the profiles give. */
function dynamicInputs(model: Model, profiles: readonly NativeProfile[]): ValueInfoProto[] {
  const shaped = profiles.flatMap((profile) => Object.entries(profile).filter(([, range]) => !range.values));
  const names = new Set(shaped.map(([name]) => name));
  return model.graph.input.filter((input) => names.has(input.name) && dimsOf(input).some((dim) => !isStatic(dim)));
}

function brokenNames(inputs: readonly ValueInfoProto[], profiles: readonly NativeProfile[]): Set<string> {
  const extents = new Map<string, string>();
  const broken = new Set<string>();
  for (const input of inputs) {
    for (const [index, {value}] of dimsOf(input).entries()) {
      if (value.case !== 'dimParam' || value.value === '') continue;
      const own = JSON.stringify(extentsOf(input.name, index, profiles));
      if ((extents.get(value.value) ?? own) !== own) broken.add(value.value);
      extents.set(value.value, own);
    }
  }
  return broken;
}

function extentsOf(name: string, index: number, profiles: readonly NativeProfile[]): Extent[] {
  return profiles.map((profile) => {
    const {min, opt, max} = profile[name]!;
    return [min[index]!, opt[index]!, max[index]!];
  });
}

/** Undefined for a dimension that stays as it is. */
function specialised(
  dim: TensorShapeProto_Dimension,
  extents: readonly Extent[],
  broken: ReadonlySet<string>,
): TensorShapeProto_Dimension | undefined {
  if (isStatic(dim)) return undefined;
  const [size] = extents[0]!;
  if (extents.flat().every((each) => each === size)) {
    return create(TensorShapeProto_DimensionSchema, {value: {case: 'dimValue', value: BigInt(size)}});
  }
  // -1 is no size, and TensorRT's parser has no word for what some exporters mean by it.
  if (dim.value.case === 'dimValue' || (dim.value.case === 'dimParam' && broken.has(dim.value.value))) {
    return create(TensorShapeProto_DimensionSchema);
  }
  return undefined;
}

function isStatic({value}: TensorShapeProto_Dimension): boolean {
  return value.case === 'dimValue' && value.value >= 0n;
}

function dimsOf({type}: ValueInfoProto): TensorShapeProto_Dimension[] {
  return type?.value.case === 'tensorType' ? (type.value.value.shape?.dim ?? []) : [];
}

function withInputs(model: Model, inputs: ValueInfoProto[]): Uint8Array {
  const {graph} = model;
  const own = graph.input;
  // Weights inside the message may take gigabytes: it is not copied.
  graph.input = inputs;
  try {
    return toBinary(ModelProtoSchema, model.proto);
  } finally {
    graph.input = own;
  }
}

function withoutInputs(profiles: readonly NativeProfile[], names: ReadonlySet<string>): NativeProfile[] {
  const left = profiles.map((profile) => Object.fromEntries(Object.entries(profile).filter(([name]) => !names.has(name))));
  return left.every((profile) => Object.keys(profile).length === 0) ? [] : left;
}
