// NVIDIA's management library, which tells of the machine's GPUs without starting CUDA: 20 ms where cuInit takes 200.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace tensorrt_node::cuda {

// A GPU in the order of the PCI bus, which need not be CUDA's.
struct GpuModel {
  std::string name;
  int computeMajor = 0;
  int computeMinor = 0;
  // In multi-instance mode, where CUDA sees parts of it under other names.
  bool divided = false;
};

class Nvml {
 public:
  // Nothing without the library, or where it does not start.
  static std::optional<Nvml> open(const std::string& path = "libnvidia-ml.so.1");

  // "580.95.05".
  std::optional<std::string> driverVersion() const;
  // Nothing unless each of them tells all that is asked.
  std::optional<std::vector<GpuModel>> gpus() const;

 private:
  struct Functions;
  struct ShutDown {
    void operator()(Functions* functions) const noexcept;
  };
  explicit Nvml(std::unique_ptr<Functions, ShutDown> functions) : functions_(std::move(functions)) {}

  std::unique_ptr<Functions, ShutDown> functions_;
};

}  // namespace tensorrt_node::cuda
