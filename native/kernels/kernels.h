// The kernels loaded into a context.
#pragma once

#include <cuda.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "cuda/context.h"

namespace tensorrt_node::kernels {

struct Grid {
  unsigned x = 1;
  unsigned y = 1;
  unsigned z = 1;
};

class Kernels {
 public:
  // Those of a context, loaded once for all who hold them. Throws CudaError: where the library was built without nvcc
  // (CUDA_ERROR_NO_BINARY_FOR_GPU, with a hint), and what loading fails with.
  static std::shared_ptr<const Kernels> of(const std::shared_ptr<const cuda::Context>& context);

  ~Kernels();
  Kernels(const Kernels&) = delete;
  Kernels& operator=(const Kernels&) = delete;

  // Queues a kernel that takes one struct. The context must be current. Throws CudaError.
  template <typename Parameters>
  void launch(CUstream stream, const std::string& name, Grid grid, unsigned threads, const Parameters& parameters,
              std::size_t sharedBytes = 0) const {
    Parameters copy = parameters;
    launchAny(stream, name, grid, threads, &copy, sharedBytes);
  }

  int multiprocessors() const noexcept { return multiprocessors_; }
  // Shared memory that a block may have.
  std::size_t sharedBytes() const noexcept { return sharedBytes_; }
  // Whether kernels begin while the one before them ends, which those of this library are written for;
  // $TENSORRT_NODE_KERNEL_OVERLAP=0 forbids it.
  bool overlapping() const noexcept { return overlapping_; }

 private:
  struct Private {};

 public:
  // For of() alone.
  Kernels(Private, std::shared_ptr<const cuda::Context> context);

 private:
  friend class Arrivals;

  void unload() noexcept;
  void launchAny(CUstream stream, const std::string& name, Grid grid, unsigned threads, void* parameters,
                 std::size_t sharedBytes) const;

  std::shared_ptr<const cuda::Context> context_;
  std::vector<CUmodule> modules_;
  std::map<std::string, CUfunction, std::less<>> functions_;
  int multiprocessors_ = 1;
  std::size_t sharedBytes_ = 0;
  bool overlapping_ = false;
  mutable std::mutex leasesMutex_;
  mutable std::vector<char> leased_;
};

// Counters in the GPU's memory, by which the blocks of a launch know the last of them: leased to one whose launches
// follow each other. Launches that may run at once need each their own.
class Arrivals {
 public:
  // Throws std::runtime_error where all are leased.
  explicit Arrivals(std::shared_ptr<const Kernels> kernels);
  ~Arrivals();
  Arrivals(const Arrivals&) = delete;
  Arrivals& operator=(const Arrivals&) = delete;

  std::int32_t first() const noexcept;

 private:
  std::shared_ptr<const Kernels> kernels_;
  std::size_t lease_;
};

}  // namespace tensorrt_node::kernels
