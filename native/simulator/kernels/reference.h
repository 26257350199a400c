// What the project's kernels compute, in plain C++ on the same bytes: run in their place by the simulated driver.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "simulator/work.h"

namespace simulator::kernels {

struct Reference {
  std::string_view name;
  // Of its struct.
  std::size_t parameterBytes;
  // Ranges that it surely reads and writes, as far as the struct tells.
  std::vector<Touch> (*touches)(const void* parameters);
  void (*run)(const void* parameters);
};

// Null for a name that no kernel has.
const Reference* findReference(std::string_view name);

// For lists of touches.
Touch reads(const void* address, std::size_t bytes);
Touch writes(const void* address, std::size_t bytes);

}  // namespace simulator::kernels
