// In place of native/kernels/device/intrinsics.cuh: what its instructions do, in C++.
#pragma once

namespace tensorrt_node::kernels {

inline void waitForPredecessor() {}
inline void letSuccessorBegin() {}

inline uint4 loadOnce(const void* from) {
  return *static_cast<const uint4*>(from);
}

inline uint4 loadPast(const void* from, bool exists) {
  return exists ? *static_cast<const uint4*>(from) : uint4{0, 0, 0, 0};
}
inline uint2 loadPast8(const void* from, bool exists) {
  return exists ? *static_cast<const uint2*>(from) : uint2{0, 0};
}
inline std::int32_t loadPast(const std::int32_t* from) {
  return *from;
}
inline std::int64_t loadPast(const std::int64_t* from) {
  return *from;
}

// Reads what there must be.
inline void prefetch(const void* from) {
  static_cast<void>(*static_cast<const volatile char*>(from));
}

inline void copyToShared(void* shared, const void* from, bool exists) {
  if (exists)
    std::memcpy(shared, from, 16);
  else
    std::memset(shared, 0, 16);
}
inline void copyToSharedIf(void* shared, const void* from, bool exists) {
  if (exists) std::memcpy(shared, from, 16);
}
inline void copyWordToSharedIf(void* shared, const void* from, bool exists) {
  if (exists) std::memcpy(shared, from, 4);
}
inline void endCopies() {}
template <int groups>
void waitForCopies() {}

inline void orderMemory() {}
inline std::uint32_t countInOrder(std::uint32_t* counter, std::uint32_t highest) {
  return atomicInc(counter, highest);
}
inline std::uint32_t loadCounter(const std::uint32_t* counter) {
  return *counter;
}
inline void waitForWarps(int barrier, int threads) {
  emulated::waitAt(barrier, threads);
}

struct PhaseCounter {
  int threads;
  int left;
  int phase;
};
inline void startCounter(PhaseCounter* counter, int threads) {
  *counter = {threads, threads, 0};
}
inline void arrive(PhaseCounter* counter) {
  emulated::happened();
  if (--counter->left == 0) *counter = {counter->threads, counter->threads, counter->phase ^ 1};
}
inline void arriveAfterCopies(PhaseCounter* counter) {
  arrive(counter);
}
inline void waitForPhase(const PhaseCounter* counter, int phase) {
  emulated::waitWhile([&] { return counter->phase == phase; });
}

template <typename T>
float elementOf(std::uint32_t pair, int which) {
  T elements[2];
  std::memcpy(elements, &pair, 4);
  if constexpr (std::is_same_v<T, __half>)
    return __half2float(elements[which]);
  else
    return __bfloat162float(elements[which]);
}

// PTX ISA, "Matrix Fragments for mma.m16n8k16 with floating point type".
template <typename T>
void multiplyAdd(float (&d)[4], std::uint32_t a0, std::uint32_t a1, std::uint32_t a2, std::uint32_t a3,
                 std::uint32_t b0, std::uint32_t b1, T) {
  const std::uint32_t mine[6]{a0, a1, a2, a3, b0, b1};
  const emulated::Message* all = emulated::exchange(mine, sizeof mine);
  const auto pair = [&](int lane, int index) {
    std::uint32_t bits;
    std::memcpy(&bits, all[lane].bytes + 4 * index, 4);
    return bits;
  };
  for (int i = 0; i < 4; ++i) {
    const int row = emulated::lane() / 4 + i / 2 * 8;
    const int column = emulated::lane() % 4 * 2 + i % 2;
    for (int k = 0; k < 16; ++k) {
      const std::uint32_t a = pair(row % 8 * 4 + k % 8 / 2, row / 8 + k / 8 * 2);
      const std::uint32_t b = pair(column * 4 + k % 8 / 2, 4 + k / 8);
      d[i] += elementOf<T>(a, k % 2) * elementOf<T>(b, k % 2);
    }
  }
}

inline std::uint32_t maskedWith(std::uint32_t bits, std::uint32_t mask, std::uint32_t more) {
  return (bits & mask) | more;
}

template <typename T>
std::uint32_t pairOf(float first, float second) {
  T elements[2];
  if constexpr (std::is_same_v<T, __half>) {
    elements[0] = __float2half_rn(first);
    elements[1] = __float2half_rn(second);
  } else {
    elements[0] = __float2bfloat16_rn(first);
    elements[1] = __float2bfloat16_rn(second);
  }
  std::uint32_t bits;
  std::memcpy(&bits, elements, 4);
  return bits;
}
// In single precision, which is exact for all that the kernels take these for.
template <typename T>
std::uint32_t multiplyAddPair(std::uint32_t a, std::uint32_t b, std::uint32_t c, T) {
  const auto of = [&](int i) { return elementOf<T>(a, i) * elementOf<T>(b, i) + elementOf<T>(c, i); };
  return pairOf<T>(of(0), of(1));
}

inline void* launchedShared() {
  return emulated::launchedShared();
}

}  // namespace tensorrt_node::kernels
