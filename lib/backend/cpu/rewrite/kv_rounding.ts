/** Rounds vectors as lib/backend/kv_cache_type.ts says, in operators that ONNX has had since opset 13. */

import {DataType} from '../../../onnx/data_type.js';
import {type GraphBuilder, int, ints} from '../../../onnx/graph_builder.js';
import {LARGEST_CODE, LEAST_MAGNITUDE} from '../../kv_cache_type.js';

/** Of E3M4: bits of the fraction, and the exponent of subnormal numbers. */
const FRACTION_BITS = 4;
const LEAST_EXPONENT = -2;
/** From here on the axes of reductions are an input. */
const AXES_AS_INPUT = 18;

export class KvRounding {
  readonly #constants = new Map<number, string>();

  /** `element`: the type of what is rounded. */
  constructor(
    readonly builder: GraphBuilder,
    readonly type: 'fp8' | 'int8',
    readonly element: DataType,
  ) {}

  /** The value's name with each vector along its last axis rounded. */
  round(value: string): string {
    const {builder} = this;
    const x = this.#cast(value, DataType.FLOAT);
    const most = builder.op('Max', [this.#largest(builder.op('Abs', [x])), this.#constant(LEAST_MAGNITUDE)]);
    const largest = this.#constant(LARGEST_CODE[this.type]);
    const scaled = builder.op('Mul', [x, builder.op('Div', [largest, most])]);
    const codes = this.type === 'int8' ? builder.op('Round', [scaled]) : this.#toFloat8(scaled);
    return this.#cast(builder.op('Mul', [codes, builder.op('Div', [most, largest])]), this.element);
  }

  /** To whole numbers of steps, each a sixteenth of the power of two below the value; a value just below a power of two may get that one's. */
  #toFloat8(value: string): string {
    const {builder} = this;
    const log2 = builder.op('Mul', [builder.op('Log', [builder.op('Abs', [value])]), this.#constant(Math.LOG2E)]);
    const exponent = builder.op('Max', [builder.op('Floor', [log2]), this.#constant(LEAST_EXPONENT)]);
    const step = builder.op('Pow', [this.#constant(2), builder.op('Sub', [exponent, this.#constant(FRACTION_BITS)])]);
    return builder.op('Mul', [builder.op('Round', [builder.op('Div', [value, step])]), step]);
  }

  #largest(value: string): string {
    const {builder} = this;
    const opset = builder.model.proto.opsetImport.find(({domain}) => domain === '' || domain === 'ai.onnx')?.version ?? 0n;
    if (opset < AXES_AS_INPUT) return builder.op('ReduceMax', [value], {attributes: {axes: ints([-1]), keepdims: int(1)}});
    return builder.op('ReduceMax', [value, builder.int64('last_axis', [-1])], {attributes: {keepdims: int(1)}});
  }

  #cast(value: string, to: DataType): string {
    return this.element === DataType.FLOAT ? value : this.builder.op('Cast', [value], {attributes: {to: int(to)}});
  }

  #constant(value: number): string {
    let name = this.#constants.get(value);
    if (name === undefined) {
      name = this.builder.float32(`kv_cache/${value}`, [value], []);
      this.#constants.set(value, name);
    }
    return name;
  }
}
