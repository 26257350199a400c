// NVIDIA's management library, which tells of the machine's GPUs without starting CUDA: 20 ms where cuInit takes 200.
#pragma once

#include <cstdint>
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

// Bytes of a whole card, other processes included.
struct CardMemory {
  std::uint64_t totalBytes = 0;
  std::uint64_t usedBytes = 0;
  std::uint64_t freeBytes = 0;
};

// Bytes a second over PCIe, seen from the card, of all processes.
struct PcieTraffic {
  std::uint64_t received = 0;
  std::uint64_t sent = 0;
};

class Nvml {
 public:
  // Nothing without the library, or where it does not start.
  static std::optional<Nvml> open(const std::string& path = "libnvidia-ml.so.1");

  // "580.95.05".
  std::optional<std::string> driverVersion() const;
  // Nothing unless each of them tells all that is asked.
  std::optional<std::vector<GpuModel>> gpus() const;
  // Of the card at "0000:3B:00.0"; nothing where it does not tell.
  std::optional<CardMemory> memory(const std::string& pciBusId) const;
  // The same. It is measured while this waits, about 40 milliseconds.
  std::optional<PcieTraffic> pcieTraffic(const std::string& pciBusId) const;

 private:
  struct Functions;
  struct ShutDown {
    void operator()(Functions* functions) const noexcept;
  };
  explicit Nvml(std::unique_ptr<Functions, ShutDown> functions) : functions_(std::move(functions)) {}

  std::unique_ptr<Functions, ShutDown> functions_;
};

}  // namespace tensorrt_node::cuda
