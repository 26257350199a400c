// What a decoder's weights take, and what moving them took.
#pragma once

#include <cstdint>

namespace tensorrt_node::weights {

// Bytes where they lie. Places and staging are held as long as the store.
struct StoreBytes {
  std::uint64_t vram = 0;  // resident blocks, mapped or not
  std::uint64_t ram = 0;   // pinned blocks, copies of evicted ones among them
  std::uint64_t disk = 0;  // blocks streamed from files
  std::uint64_t places = 0;
  std::uint64_t deviceStaging = 0;  // VRAM for what kernels convert on its way from disk
  std::uint64_t pinnedStaging = 0;
};

// Sums since the store was made. Times in seconds.
struct StoreCounters {
  std::uint64_t blocks = 0;       // streamed blocks brought to a place
  std::uint64_t bytesCopied = 0;  // from pinned memory to places
  double copySeconds = 0;         // of the prefetch stream with blocks on their way
  std::uint64_t reads = 0;
  std::uint64_t bytesRead = 0;
  double computeWaitSeconds = 0;   // the compute stream for copies
  double prefetchWaitSeconds = 0;  // the prefetch stream for a free place
  double hostWaitSeconds = 0;      // the thread that queues steps, for the disk
  std::uint64_t restarts = 0;      // times the order of runs was left, after failures
};

}  // namespace tensorrt_node::weights
