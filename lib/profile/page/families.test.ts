import {expect, test} from 'vitest';

import {familyOf} from './families.js';

test.each([
  ['gemv_norm_float16_1_2', 'gemv_norm'],
  ['gemv_float16_1_1', 'gemv'],
  ['attention_decode_float16_64', 'attention_decode'],
  ['sample_choose', 'sample_choose'],
  ['sm80_xmma_gemm_f16f16_f16f32_f32_tn_n_tilesize32x32x64_execute_kernel_trt', 'xmma_gemm'],
  ['void cub::CUB_200::DeviceScanKernel<int, 4>(int*)', 'DeviceScanKernel'],
  ['', ''],
])('%s', (kernel, family) => expect(familyOf(kernel)).toBe(family));
