/** Rotary position embedding: the frequencies of each scaling, and the cosine and sine tables that attention reads. */

import {UnsupportedError} from '../../errors.js';
import type {TensorSource} from '../../onnx/tensor_source.js';
import type {DecoderConfig, RopeScaling} from '../checkpoint.js';
import {encodeFloats, type FloatType, floatBytes} from './float_type.js';

export interface RotaryParameters {
  /** Radians a position adds, for each pair of a head's elements: headDim / 2 of them. */
  inverseFrequencies: Float64Array;
  /** What cosine and sine are multiplied by: YaRN's attention factor, else 1. */
  attentionFactor: number;
}

/**
 * θ_i = ropeTheta^(-2i/headDim) (Su et al. 2021, RoFormer), changed by the config's scaling. Throws UnsupportedError for
 * longrope, whose table depends on how long the sequence will be.
 */
export function rotaryParameters({headDim, ropeTheta, ropeScaling}: DecoderConfig): RotaryParameters {
  const plain = Float64Array.from({length: headDim / 2}, (_, pair) => ropeTheta ** ((-2 * pair) / headDim));
  if (!ropeScaling) return {inverseFrequencies: plain, attentionFactor: 1};
  return {
    inverseFrequencies: plain.map(scaled(ropeScaling, headDim, ropeTheta)),
    attentionFactor: ropeScaling.type === 'yarn' ? ropeScaling.attentionFactor : 1,
  };
}

/** The new frequency of pair `pair`, which had `frequency`. */
type Rescale = (frequency: number, pair: number) => number;

function scaled(scaling: RopeScaling, headDim: number, theta: number): Rescale {
  switch (scaling.type) {
    case 'linear': // Chen et al. 2023, Position Interpolation
      return (frequency) => frequency / scaling.factor;
    case 'llama3':
      return llama3(scaling);
    case 'yarn':
      return yarn(scaling, headDim, theta);
    case 'factors':
      if (scaling.factors.length !== headDim / 2) {
        throw new UnsupportedError(`RoPE has ${scaling.factors.length} frequency factors for heads of ${headDim}`);
      }
      return (frequency, pair) => frequency / scaling.factors[pair]!;
    case 'longrope':
      throw new UnsupportedError("RoPE scaling 'longrope' is not supported");
  }
}

/** Llama 3.1: long waves are divided by the factor, short ones stay, those between are blended (transformers, modeling_rope_utils). */
function llama3(scaling: RopeScaling & {type: 'llama3'}): Rescale {
  const {factor, lowFreqFactor, highFreqFactor, originalMaxPositionEmbeddings} = scaling;
  return (frequency) => {
    const wavesInContext = (originalMaxPositionEmbeddings * frequency) / (2 * Math.PI);
    if (wavesInContext > highFreqFactor) return frequency;
    if (wavesInContext < lowFreqFactor) return frequency / factor;
    const kept = (wavesInContext - lowFreqFactor) / (highFreqFactor - lowFreqFactor);
    return ((1 - kept) * frequency) / factor + kept * frequency;
  };
}

/** Peng et al. 2023, YaRN, "NTK-by-parts": a ramp over the pairs between betaFast and betaSlow turns in the original context. */
function yarn(scaling: RopeScaling & {type: 'yarn'}, headDim: number, theta: number): Rescale {
  const pairTurning = (turns: number) =>
    (headDim * Math.log(scaling.originalMaxPositionEmbeddings / (turns * 2 * Math.PI))) / (2 * Math.log(theta));
  const low = Math.max(Math.floor(pairTurning(scaling.betaFast)), 0);
  const high = Math.min(Math.ceil(pairTurning(scaling.betaSlow)), headDim - 1);
  // 0.001: where both ends fall on one pair the ramp is a step.
  const width = high === low ? 0.001 : high - low;
  return (frequency, pair) => {
    const interpolated = Math.min(Math.max((pair - low) / width, 0), 1);
    return (frequency / scaling.factor) * interpolated + frequency * (1 - interpolated);
  };
}

/** Positions are made this many at a time. */
const POSITIONS_PER_CHUNK = 4096;

/** A table [positions, headDim / 2] of cosines or sines, computed in double precision while it is written. */
export function rotaryTable(
  {inverseFrequencies, attentionFactor}: RotaryParameters,
  wave: (angle: number) => number,
  positions: number,
  type: FloatType,
): TensorSource {
  const pairs = inverseFrequencies.length;
  return {
    byteLength: positions * pairs * floatBytes(type),
    async *chunks() {
      for (let first = 0; first < positions; first += POSITIONS_PER_CHUNK) {
        const count = Math.min(POSITIONS_PER_CHUNK, positions - first);
        const values = new Float32Array(count * pairs);
        for (let row = 0; row < count; row++) {
          for (let pair = 0; pair < pairs; pair++) {
            values[row * pairs + pair] = wave((first + row) * inverseFrequencies[pair]!) * attentionFactor;
          }
        }
        yield encodeFloats(type, values, () => 'the rotary table');
      }
    },
  };
}
