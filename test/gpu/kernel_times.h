// Times of kernels, as JSON lines.
#pragma once

#include <algorithm>
#include <cstdio>
#include <functional>
#include <string>

#include "cuda/event.h"
#include "cuda/graph.h"
#include "kernel_test.h"

namespace kernel_test {

// Microseconds of a launch, from a graph of many: `launch(i)` is to use other memory for other i, so that the cache
// holds none of it.
inline double microseconds(Gpu& gpu, int launches, const std::function<void(int)>& launch) {
  const auto graph = cuda::Graph::capture(gpu.owner(), [&] {
    for (int i = 0; i < launches; ++i) launch(i);
  });
  CUevent events[2];
  for (CUevent& each : events) cuda::check(cuda::driver().cuEventCreate(&each, CU_EVENT_DEFAULT), "cuEventCreate");
  graph.launch(gpu.owner());
  gpu.owner().synchronize();
  double best = 1e30;
  for (int round = 0; round < 5; ++round) {
    cuda::driver().cuEventRecord(events[0], gpu.stream());
    graph.launch(gpu.owner());
    cuda::driver().cuEventRecord(events[1], gpu.stream());
    gpu.owner().synchronize();
    float milliseconds = 0;
    cuda::check(cuda::driver().cuEventElapsedTime(&milliseconds, events[0], events[1]), "cuEventElapsedTime");
    best = std::min(best, 1000.0 * static_cast<double>(milliseconds) / launches);
  }
  for (const CUevent each : events) cuda::driver().cuEventDestroy(each);
  return best;
}

inline void report(const std::string& kernel, const std::string& shape, int rows, double us, double bytes,
                   double flops) {
  if (!wanted(kernel)) return;
  std::printf("{\"kernel\":\"%s\",\"shape\":\"%s\",\"rows\":%d,\"us\":%.2f,\"gb_s\":%.0f,\"tflop_s\":%.1f}\n",
              kernel.c_str(), shape.c_str(), rows, us, bytes / us / 1e3, flops / us / 1e6);
  std::fflush(stdout);
}

// Enough copies that they do not all fit the cache, but no more memory than that takes.
inline int copiesOf(double bytes) {
  return static_cast<int>(std::clamp(256e6 / bytes, 2.0, 64.0));
}

}  // namespace kernel_test
