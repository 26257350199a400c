// Random numbers by seed and position alone, the same as lib/backend/cpu/random.ts.
#pragma once

#include <cstdint>

namespace tensorrt_node::kernels {

// 24 bits: the upper ones of the first word of Philox4x32-10 (Salmon et al. 2011) with the key (seed, 0) and the
// counter (position, 0, 0, 0).
__device__ inline std::uint32_t uniformBits(std::uint32_t seed, std::uint32_t position) {
  std::uint32_t c0 = position;
  std::uint32_t c1 = 0;
  std::uint32_t c2 = 0;
  std::uint32_t c3 = 0;
  std::uint32_t k0 = seed;
  std::uint32_t k1 = 0;
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t first = static_cast<std::uint64_t>(0xD2511F53U) * c0;
    const std::uint64_t second = static_cast<std::uint64_t>(0xCD9E8D57U) * c2;
    c0 = static_cast<std::uint32_t>(second >> 32) ^ c1 ^ k0;
    c1 = static_cast<std::uint32_t>(second);
    c2 = static_cast<std::uint32_t>(first >> 32) ^ c3 ^ k1;
    c3 = static_cast<std::uint32_t>(first);
    k0 += 0x9E3779B9U;
    k1 += 0xBB67AE85U;
  }
  return c0 >> 8;
}

}  // namespace tensorrt_node::kernels
