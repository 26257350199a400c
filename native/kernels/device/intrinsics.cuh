// What has no name in CUDA C++, or a different one from device to device: instructions, a line each.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>

namespace tensorrt_node::kernels {

// Everything before this in the stream is done, and its writes are seen, once it returns. Each thread of each kernel
// calls it, and before it reads or writes memory that others write: it may begin while the kernel before it ends. What
// never changes, such as weights, may be read earlier, and what changes only with steps (begin_step.cu) past the cache.
__device__ inline void waitForPredecessor() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

// From here on the next kernel in the stream may begin where there is room.
__device__ inline void letSuccessorBegin() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;");
#endif
}

// 16 bytes that are read once and never written while the kernel runs.
__device__ inline uint4 loadOnce(const void* from) {
  uint4 v;
  asm volatile("ld.global.nc.L1::no_allocate.L2::128B.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
               : "l"(from));
  return v;
}

// 16 bytes, or zeros, past the multiprocessor's cache, which may hold what was there before. Not moved by the compiler
// past waitForPredecessor().
__device__ inline uint4 loadPast(const void* from, bool exists) {
  uint4 v;
  asm volatile(
      "{\n"
      ".reg .pred exists;\n"
      "setp.ne.b32 exists, %5, 0;\n"
      "mov.b32 %0, 0;\n"
      "mov.b32 %1, 0;\n"
      "mov.b32 %2, 0;\n"
      "mov.b32 %3, 0;\n"
      "@exists ld.global.cg.v4.u32 {%0, %1, %2, %3}, [%4];\n"
      "}"
      : "=&r"(v.x), "=&r"(v.y), "=&r"(v.z), "=&r"(v.w)
      : "l"(from), "r"(exists ? 1 : 0)
      : "memory");
  return v;
}
// Likewise 8 bytes.
__device__ inline uint2 loadPast8(const void* from, bool exists) {
  uint2 v;
  asm volatile(
      "{\n"
      ".reg .pred exists;\n"
      "setp.ne.b32 exists, %3, 0;\n"
      "mov.b32 %0, 0;\n"
      "mov.b32 %1, 0;\n"
      "@exists ld.global.cg.v2.u32 {%0, %1}, [%2];\n"
      "}"
      : "=&r"(v.x), "=&r"(v.y)
      : "l"(from), "r"(exists ? 1 : 0)
      : "memory");
  return v;
}
__device__ inline std::int32_t loadPast(const std::int32_t* from) {
  std::int32_t v;
  asm volatile("ld.global.cg.s32 %0, [%1];" : "=r"(v) : "l"(from) : "memory");
  return v;
}
__device__ inline std::int64_t loadPast(const std::int64_t* from) {
  std::int64_t v;
  asm volatile("ld.global.cg.s64 %0, [%1];" : "=l"(v) : "l"(from) : "memory");
  return v;
}

// Asks for the line of the GPU's cache that an address is in.
__device__ inline void prefetch(const void* from) {
  asm volatile("prefetch.global.L2 [%0];" ::"l"(from));
}

__device__ inline std::uint32_t sharedAddress(const void* shared) {
  return static_cast<std::uint32_t>(__cvta_generic_to_shared(shared));
}

// Copies 16 bytes to shared memory, or zeros where there is nothing to copy, while this thread goes on.
__device__ inline void copyToShared(void* shared, const void* from, bool exists) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(sharedAddress(shared)), "l"(from),
               "r"(exists ? 16 : 0)
               : "memory");
}
// Likewise, or nothing at all.
__device__ inline void copyToSharedIf(void* shared, const void* from, bool exists) {
  asm volatile(
      "{\n"
      ".reg .pred exists;\n"
      "setp.ne.b32 exists, %2, 0;\n"
      "@exists cp.async.cg.shared.global [%0], [%1], 16;\n"
      "}" ::"r"(sharedAddress(shared)),
      "l"(from), "r"(exists ? 1 : 0)
      : "memory");
}
// Likewise 4 bytes.
__device__ inline void copyWordToSharedIf(void* shared, const void* from, bool exists) {
  asm volatile(
      "{\n"
      ".reg .pred exists;\n"
      "setp.ne.b32 exists, %2, 0;\n"
      "@exists cp.async.ca.shared.global [%0], [%1], 4;\n"
      "}" ::"r"(sharedAddress(shared)),
      "l"(from), "r"(exists ? 1 : 0)
      : "memory");
}
// Ends a group of this thread's copies.
__device__ inline void endCopies() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}
// Until all groups but the last `groups` have arrived.
template <int groups>
__device__ void waitForCopies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(groups) : "memory");
}

// What the GPU has seen of this thread before is seen before what follows: less than __threadfence(), which also puts
// all such fences in one order.
__device__ inline void orderMemory() {
  asm volatile("fence.acq_rel.gpu;" ::: "memory");
}

// Adds one, or goes back to zero from `highest`, and returns what was there; in order with what is before and after, as
// orderMemory() has it.
__device__ inline std::uint32_t countInOrder(std::uint32_t* counter, std::uint32_t highest) {
  std::uint32_t before;
  asm volatile("atom.acq_rel.gpu.global.inc.u32 %0, [%1], %2;" : "=r"(before) : "l"(counter), "r"(highest) : "memory");
  return before;
}
// What is there, in no order.
__device__ inline std::uint32_t loadCounter(const std::uint32_t* counter) {
  std::uint32_t v;
  asm volatile("ld.relaxed.gpu.global.u32 %0, [%1];" : "=r"(v) : "l"(counter));
  return v;
}

// Until `threads` threads, whole warps, have come to this barrier of the block. Barrier 0 is __syncthreads()'s.
__device__ inline void waitForWarps(int barrier, int threads) {
  asm volatile("bar.sync %0, %1;" ::"r"(barrier), "r"(threads) : "memory");
}

// A counter in shared memory of threads that have come to it. When as many have as it was made for, it is in its next
// phase: phases are even and odd in turn, and those that wait are told which. What a thread wrote before it came is
// seen by those that waited.
using PhaseCounter = std::uint64_t;

// By one thread, before others use it: with a barrier of the block between.
__device__ inline void startCounter(PhaseCounter* counter, int threads) {
  asm volatile("mbarrier.init.shared.b64 [%0], %1;" ::"r"(sharedAddress(counter)), "r"(threads) : "memory");
}
__device__ inline void arrive(PhaseCounter* counter) {
  asm volatile(
      "{\n"
      ".reg .b64 state;\n"
      "mbarrier.arrive.shared.b64 state, [%0];\n"
      "}" ::"r"(sharedAddress(counter))
      : "memory");
}
// Once all of this thread's copies until now have arrived; this thread goes on.
__device__ inline void arriveAfterCopies(PhaseCounter* counter) {
  asm volatile("cp.async.mbarrier.arrive.noinc.shared.b64 [%0];" ::"r"(sharedAddress(counter)) : "memory");
}
// Until the counter has left an even phase (0), or an odd one (1).
__device__ inline void waitForPhase(PhaseCounter* counter, int phase) {
  std::uint32_t past = 0;
  do {
    asm volatile(
        "{\n"
        ".reg .pred past;\n"
#if __CUDA_ARCH__ >= 900
        "mbarrier.try_wait.parity.shared.b64 past, [%1], %2;\n"
#else
        "mbarrier.test_wait.parity.shared.b64 past, [%1], %2;\n"
#endif
        "selp.u32 %0, 1, 0, past;\n"
        "}"
        : "=r"(past)
        : "r"(sharedAddress(counter)), "r"(phase)
        : "memory");
  } while (past == 0);
}

// d += a * b on tensor cores, 16 x 8 x 16, of two 16-bit elements a register; lane 4g + t of the warp holds
// a: rows g and g + 8, columns 2t and on, then the same of columns 8 + 2t and on; b: column g, rows 2t and on, and
// 8 + 2t and on; d: row g, columns 2t and on, then row g + 8.
__device__ inline void multiplyAdd(float (&d)[4], std::uint32_t a0, std::uint32_t a1, std::uint32_t a2,
                                   std::uint32_t a3, std::uint32_t b0, std::uint32_t b1, __half) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}
__device__ inline void multiplyAdd(float (&d)[4], std::uint32_t a0, std::uint32_t a1, std::uint32_t a2,
                                   std::uint32_t a3, std::uint32_t b0, std::uint32_t b1, __nv_bfloat16) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}

// What a mask leaves of `bits`, and `more`: one instruction, which the compiler makes two of where both are constants.
__device__ inline std::uint32_t maskedWith(std::uint32_t bits, std::uint32_t mask, std::uint32_t more) {
  std::uint32_t d;
  asm("lop3.b32 %0, %1, %2, %3, 0xEA;" : "=r"(d) : "r"(bits), "r"(mask), "r"(more));
  return d;
}

// a * b + c of two 16-bit elements, rounded once.
__device__ inline std::uint32_t multiplyAddPair(std::uint32_t a, std::uint32_t b, std::uint32_t c, __half) {
  std::uint32_t d;
  asm("fma.rn.f16x2 %0, %1, %2, %3;" : "=r"(d) : "r"(a), "r"(b), "r"(c));
  return d;
}
__device__ inline std::uint32_t multiplyAddPair(std::uint32_t a, std::uint32_t b, std::uint32_t c, __nv_bfloat16) {
  std::uint32_t d;
  asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(d) : "r"(a), "r"(b), "r"(c));
  return d;
}

// Shared memory of the size that the launch asked for.
__device__ inline void* launchedShared() {
  extern __shared__ uint4 memory[];
  return memory;
}

}  // namespace tensorrt_node::kernels
