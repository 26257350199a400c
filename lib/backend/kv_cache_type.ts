/**
 * How keys and values are kept from step to step. A head's vector of a token is 8-bit codes and one scale:
 *   most = max(|x_1|, …, |x_n|, 2^-64), scale = most / L, code_i = round(x_i * (L / most)), and read back it is code_i * scale
 * in float32, ties to even, where 'int8' has L = 127 and codes that are integers, and 'fp8' L = 448 and codes that are E4M3
 * (Micikevicius et al. 2022), subnormal ones included. Keys are kept as they are after their rotation. native/kernels/cache_format.h
 * says the same of the GPU's pages.
 */

/** 'auto': as the model computes. */
export type KvCacheType = 'auto' | 'fp8' | 'int8';

export const KV_CACHE_TYPES = ['auto', 'fp8', 'int8'] as const satisfies readonly KvCacheType[];

/** The largest code. */
export const LARGEST_CODE = {fp8: 448, int8: 127} as const;

/** What `most` above is at least, so that both quotients are finite. */
export const LEAST_MAGNITUDE = 2 ** -64;
