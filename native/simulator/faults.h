// Failures on request, and a count of calls to place them by.
#pragma once

#include <cuda.h>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace simulator {

class Faults {
 public:
  // An empty symbol, here and below, stands for all but those that only make a context current.
  void plan(std::string symbol, std::uint64_t nth, std::uint64_t count, CUresult code);
  // Counts a call; what it must fail with, or CUDA_SUCCESS.
  CUresult called(std::string_view symbol);
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
