import {describe, expect, it} from 'vitest';

import {mulberry32, randomTensor, tensorOf} from '../../../test/support/random_checkpoint.js';
import {readSource} from '../../onnx/tensor_source.js';
import {dequantize} from '../numeric/dequantize.js';
import {float16ToFloat32} from '../numeric/float16.js';
import {type BlockTensor, blockWeights, isBlockType} from './blocks.js';
import type {FloatType} from './float_type.js';

/** What MatMulNBits makes of the three tensors, in double precision. */
async function values(tensor: BlockTensor, type: FloatType): Promise<number[]> {
  const {bits, codes, scales, zeroPoints} = blockWeights(tensor, type);
  const packed = await readSource(codes);
  const scaleBytes = await readSource(scales);
  const scale = type === 'fp32' ? new Float32Array(scaleBytes.buffer) : float16ToFloat32(new Uint16Array(scaleBytes.buffer));
  const zeroPoint = zeroPoints && new Float32Array((await readSource(zeroPoints)).buffer);
  return Array.from({length: (packed.length * 8) / bits}, (_, index) => {
    const code = bits === 8 ? packed[index]! : (packed[index >> 1]! >> (4 * (index & 1))) & 15;
    const block = index >> 5;
    return (code - (zeroPoint ? zeroPoint[block]! : 2 ** (bits - 1))) * scale[block]!;
  });
}

function random(type: BlockTensor['type']): BlockTensor {
  return {...randomTensor('weight', type, [48, 512], mulberry32(7)), type};
}

const TYPES = ['Q8_0', 'Q4_0', 'Q4_1', 'Q4_K'] as const;

describe('blockWeights', () => {
  it.each((['fp32', 'fp16'] as const).flatMap((type) => (['Q8_0', 'Q4_0'] as const).map((source) => [source, type] as const)))(
    '%s to %s: the very values',
    async (source, type) => {
      const tensor = random(source);
      const expected = dequantize(source, await tensor.read());
      // A zero scale times a negative code is -0, which counts as 0 here.
      expect((await values(tensor, type)).map((value) => value + 0)).toEqual(Array.from(expected, (value) => value + 0));
    },
  );

  it.each([
    ['Q4_1', 'fp32'],
    ['Q4_1', 'fp16'],
    ['Q4_K', 'fp32'],
  ] as const)('%s to %s: the same but for the rounding of the zero point', async (source, type) => {
    const tensor = random(source);
    const expected = dequantize(source, await tensor.read());
    const got = await values(tensor, type);
    const largest = expected.reduce((sum, value) => Math.max(sum, Math.abs(value)), 0);
    expect(got.length).toBe(expected.length);
    for (const [index, value] of got.entries()) expect(Math.abs(value - expected[index]!)).toBeLessThan(largest * 2 ** -22);
  });

  it('Q4_K to fp16: scales to the nearest half', async () => {
    const tensor = random('Q4_K');
    const expected = dequantize('Q4_K', await tensor.read());
    const got = await values(tensor, 'fp16');
    const largest = expected.reduce((sum, value) => Math.max(sum, Math.abs(value)), 0);
    for (const [index, value] of got.entries()) expect(Math.abs(value - expected[index]!)).toBeLessThan(largest * 2 ** -10);
  });

  it.each([
    ['zero throughout', 0, 0],
    ['its offset throughout', 0, 0xb800],
    ['of a subnormal scale and a large offset', 1, 0x7bff],
  ])('a Q4_1 block that is %s', async (_, scale, offset) => {
    const bytes = new Uint8Array(20).fill(0xa7);
    new DataView(bytes.buffer).setUint16(0, scale, true);
    new DataView(bytes.buffer).setUint16(2, offset, true);
    const tensor = {...tensorOf('weight', 'Q4_1', [1, 32], bytes), type: 'Q4_1'} as const;
    const got = (await values(tensor, 'fp32')).map(Math.fround);
    // `+ 0` makes 0 of -0.
    expect(got.map((value) => value + 0)).toEqual(Array.from(dequantize('Q4_1', bytes), (value) => value + 0));
  });

  it('gives the bytes it promises', async () => {
    for (const type of TYPES) {
      const {codes, scales, zeroPoints} = blockWeights(random(type), 'fp16');
      for (const source of [codes, scales, zeroPoints]) if (source) expect((await readSource(source)).byteLength).toBe(source.byteLength);
    }
  });

  it('knows which types it takes', () => {
    expect(TYPES.every(isBlockType)).toBe(true);
    expect((['F32', 'F16', 'BF16', 'Q5_K', 'Q6_K'] as const).some(isBlockType)).toBe(false);
  });
});
