// Settings of the simulated TensorRT, from the environment or from tests.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>

namespace simulated_tensorrt {

struct Version {
  int major = 10;
  int minor = 6;
  int patch = 0;

  bool operator==(const Version&) const = default;
  std::int32_t number() const { return major * 10000 + minor * 100 + patch; }
  std::string text() const { return std::to_string(major) + "." + std::to_string(minor) + "." + std::to_string(patch); }
};

struct ComputeCapability {
  int major = 0;
  int minor = 0;

  bool operator==(const ComputeCapability&) const = default;
  std::string text() const { return std::to_string(major) + "." + std::to_string(minor); }
};

struct Settings {
  Version version;
  // 0.0 for the driver's.
  ComputeCapability computeCapability;
  bool noParser = false;
  bool failParse = false;
  // As in "build=HOW"; empty for none.
  std::string build;
  std::uint64_t buildSteps = 4;
  std::uint64_t buildStepMs = 0;
  std::uint64_t layerMs = 0;
  bool failDeserialize = false;
  bool failContext = false;
  bool failEnqueue = false;
  bool failRefit = false;
  std::uint64_t executeNs = 0;
};

// As they are now.
Settings settings();
// False if that makes no sense; nothing changes then. An environment that makes no sense ends the process.
bool set(const std::string& name, const std::string& value);

void countTimedLayer();

}  // namespace simulated_tensorrt
