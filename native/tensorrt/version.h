// TensorRT's version numbers, and which of them serve.
#pragma once

#include <cstdint>
#include <string>

namespace tensorrt_node::tensorrt {

struct Version {
  std::int32_t major;
  std::int32_t minor;
  std::int32_t patch;

  // Reads getInferLibVersion(): major * 10000 + minor * 100 + patch since 10.0, major * 1000 + … before.
  static Version fromNumber(std::int32_t number) noexcept {
    const std::int32_t unit = number >= 100000 ? 10000 : 1000;
    return {number / unit, number % unit / 100, number % 100};
  }

  // Interfaces of major 10 grow by appending only, and 10.6 is the oldest whose functions are used without asking.
  bool serves() const noexcept { return major == 10 && minor >= 6; }

  // Of the same major version.
  bool atLeast(std::int32_t wantedMajor, std::int32_t wantedMinor) const noexcept {
    return major == wantedMajor && minor >= wantedMinor;
  }

  std::string text() const { return std::to_string(major) + "." + std::to_string(minor) + "." + std::to_string(patch); }
};

}  // namespace tensorrt_node::tensorrt
