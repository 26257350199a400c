// Failures on request, and a count of calls to place them by.
#pragma once

#include <cuda.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace simulator {

class Faults {
 public:
  // An empty symbol, here and below, stands for all but those that only make a context current.
  // CUDA_SUCCESS: calls that do nothing and say that all is well.
  void plan(std::string symbol, std::uint64_t nth, std::uint64_t count, CUresult code);
  // Counts a call; what it must return without doing anything, or nothing.
  std::optional<CUresult> called(std::string_view symbol);
  std::uint64_t calls(std::string_view symbol) const;

 private:
  struct Fault {
    std::string symbol;
    // Calls to let through.
    std::uint64_t before;
    // Calls to fail after those.
    std::uint64_t count;
    CUresult code;
  };

  std::vector<Fault> faults_;
  std::map<std::string, std::uint64_t, std::less<>> calls_;
  std::uint64_t allCalls_ = 0;
};

}  // namespace simulator
