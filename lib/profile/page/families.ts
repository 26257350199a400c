/** Kernels that do the same for other shapes and types, which share a colour. */

const TYPE = /^(float|bfloat|half|fp|int|uint|f|bf|s|u)\d+$/;

/** 'gemv_norm' of 'gemv_norm_float16_1_2', 'xmma_gemm' of 'sm80_xmma_gemm_f16f16_…', 'DeviceScanKernel' of 'void cub::DeviceScanKernel<…>'. */
export function familyOf(kernel: string): string {
  const plain = kernel
    .replace(/^void /, '')
    .replace(/[<(].*$/s, '')
    .replace(/^.*::/, '');
  const words = plain.split('_').filter((word) => word !== '');
  if (/^sm\d+$/.test(words[0] ?? '')) return words.slice(1, 3).join('_') || plain;
  const end = words.findIndex((word, index) => index > 0 && (TYPE.test(word) || /^\d/.test(word)));
  return (end === -1 ? words : words.slice(0, end)).slice(0, 4).join('_') || kernel;
}
