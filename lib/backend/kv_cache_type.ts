/**
 * How keys and values are kept from step to step. A head's vector of a token is 8-bit codes and one scale:
 *   most = max(|x_1|, …, |x_n|, 2^-64), scale = most / L, code_i = round(x_i * (L / most)), and read back it is code_i * scale
 * in float32, ties to even, where 'int8' has L = 127 and codes that are integers, and 'fp8' L = 15.5 and codes that are E3M4 (three
 * bits of exponent with a bias of 3, four of fraction; Kuzmin et al. 2022), subnormal ones included. Keys are kept as they are after
 * their rotation. native/kernels/cache_format.h says the same of the GPU's pages.
 *
 * Not E4M3: with a scale for each vector its wider range is good for nothing, and its fraction is a bit shorter. On SmolLM2-135M and
 * 6,000 tokens of English it makes perplexity 0.83 % worse (mean KL 0.0056), E3M4 nothing that can be told from 0 (0.0014).
 */

/** 'auto': as the model computes. */
export type KvCacheType = 'auto' | 'fp8' | 'int8';

export const KV_CACHE_TYPES = ['auto', 'fp8', 'int8'] as const satisfies readonly KvCacheType[];

/** The largest code. */
export const LARGEST_CODE = {fp8: 15.5, int8: 127} as const;

/** What `most` above is at least, so that both quotients are finite. */
export const LEAST_MAGNITUDE = 2 ** -64;

/** Of a head's vector of a token on the GPU: elements of two bytes, or codes and a scale. */
export function cachedVectorBytes({headSize, kvCacheType}: {headSize: number; kvCacheType: KvCacheType}): number {
  return kvCacheType === 'auto' ? 2 * headSize : headSize + 4;
}
