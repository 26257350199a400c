// The records of CUPTI's activity interface that are read here, as far as they are read.
//
// Documented in cupti_activity.h, which is part of the CUDA toolkit and of pip's nvidia-cuda-cupti:
// CUpti_ActivityKernel9 (CUDA 12) and 10 (CUDA 13), CUpti_ActivityMemcpy6, CUpti_ActivityMemcpyPtoP4,
// CUpti_ActivityMemset4, CUpti_ActivityGraphTrace2, CUpti_ActivitySynchronization2 and
// CUpti_ActivityExternalCorrelation. Records grow by appending, and these beginnings are the same from CUDA 12.0
// (CUPTI's version 18) to 13.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tensorrt_node::profile::cupti {

constexpr std::uint32_t oldestVersion = 18;

// CUpti_ActivityKind.
enum class Kind : std::uint32_t {
  copy = 1,
  set = 2,
  // Calls of the driver.
  driver = 4,
  concurrentKernel = 10,
  peerCopy = 22,
  synchronization = 38,
  externalCorrelation = 39,
  graph = 51,
};

// CUpti_ActivityMemoryKind.
enum class Memory : std::uint8_t { unknown = 0, pageable = 1, pinned = 2, device = 3 };

// CUpti_ActivityMemcpyKind.
enum class CopyKind : std::uint8_t { toDevice = 1, toHost = 2, onDevice = 8, onHost = 9, peer = 10 };

// CUpti_ActivitySynchronizationType.
enum class Wait : std::uint32_t { event = 1, streamForEvent = 2, stream = 3, context = 4 };

struct Record {
  Kind kind;
};

struct Kernel {
  Kind kind;
  std::uint8_t cacheConfig;
  std::uint8_t sharedMemoryConfig;
  std::uint16_t registersPerThread;
  std::uint32_t globalCacheRequested;
  std::uint32_t globalCacheExecuted;
  std::uint64_t start;
  std::uint64_t end;
  std::uint64_t completed;
  std::uint32_t device;
  std::uint32_t context;
  std::uint32_t stream;
  std::int32_t grid[3];
  std::int32_t block[3];
  std::int32_t staticSharedBytes;
  std::int32_t dynamicSharedBytes;
  std::uint32_t localBytesPerThread;
  std::uint32_t localBytes;
  std::uint32_t correlation;
  std::int64_t gridId;
  const char* name;
  void* reserved;
  std::uint64_t queued;
  std::uint64_t submitted;
  std::uint8_t launchType;
  std::uint8_t carveoutIsRequested;
  std::uint8_t carveoutRequested;
  std::uint8_t padding;
  std::uint32_t sharedBytesExecuted;
  std::uint64_t graphNode;
  std::uint32_t sharedMemoryLimit;
  std::uint32_t graph;
};
static_assert(offsetof(Kernel, start) == 16 && offsetof(Kernel, grid) == 52 && offsetof(Kernel, correlation) == 92 &&
              offsetof(Kernel, name) == 104 && offsetof(Kernel, graphNode) == 144 && offsetof(Kernel, graph) == 156);

struct Copy {
  Kind kind;
  CopyKind copyKind;
  Memory from;
  Memory to;
  std::uint8_t flags;
  std::uint64_t bytes;
  std::uint64_t start;
  std::uint64_t end;
  std::uint32_t device;
  std::uint32_t context;
  std::uint32_t stream;
  std::uint32_t correlation;
  std::uint32_t runtimeCorrelation;
  std::uint32_t padding;
  void* reserved;
  std::uint64_t graphNode;
  std::uint32_t graph;
};
static_assert(offsetof(Copy, bytes) == 8 && offsetof(Copy, device) == 32 && offsetof(Copy, graphNode) == 64 &&
              offsetof(Copy, graph) == 72);

struct PeerCopy {
  Kind kind;
  CopyKind copyKind;
  Memory from;
  Memory to;
  std::uint8_t flags;
  std::uint64_t bytes;
  std::uint64_t start;
  std::uint64_t end;
  std::uint32_t device;
  std::uint32_t context;
  std::uint32_t stream;
  std::uint32_t fromDevice;
  std::uint32_t fromContext;
  std::uint32_t toDevice;
  std::uint32_t toContext;
  std::uint32_t correlation;
  void* reserved;
  std::uint64_t graphNode;
  std::uint32_t graph;
};
static_assert(offsetof(PeerCopy, correlation) == 60 && offsetof(PeerCopy, graph) == 80);

struct Set {
  Kind kind;
  std::uint32_t value;
  std::uint64_t bytes;
  std::uint64_t start;
  std::uint64_t end;
  std::uint32_t device;
  std::uint32_t context;
  std::uint32_t stream;
  std::uint32_t correlation;
  std::uint16_t flags;
  std::uint16_t memory;
  std::uint32_t padding;
  void* reserved;
  std::uint64_t graphNode;
  std::uint32_t graph;
};
static_assert(offsetof(Set, correlation) == 44 && offsetof(Set, graphNode) == 64 && offsetof(Set, graph) == 72);

struct Graph {
  Kind kind;
  std::uint32_t correlation;
  std::uint64_t start;
  std::uint64_t end;
  std::uint32_t device;
  std::uint32_t graph;
  std::uint32_t context;
  std::uint32_t stream;
};
static_assert(offsetof(Graph, device) == 24 && offsetof(Graph, stream) == 36);

struct Synchronization {
  Kind kind;
  Wait type;
  std::uint64_t start;
  std::uint64_t end;
  std::uint32_t correlation;
  std::uint32_t context;
  std::uint32_t stream;
  std::uint32_t event;
};
static_assert(offsetof(Synchronization, correlation) == 24 && offsetof(Synchronization, stream) == 32);

struct ExternalCorrelation {
  Kind kind;
  std::uint32_t externalKind;
  std::uint64_t externalId;
  std::uint32_t correlation;
  std::uint32_t reserved;
};
static_assert(offsetof(ExternalCorrelation, correlation) == 16);

}  // namespace tensorrt_node::profile::cupti
