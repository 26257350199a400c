// Names by number, counted from 1, so that activities need not hold them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace tensorrt_node::profile {

class Names {
 public:
  std::uint32_t numberOf(std::string_view name);
  // Of a function: demangled, if its name is a mangled one.
  std::uint32_t numberOfFunction(const char* symbol);
  // Those numbered since the last call, in order.
  std::vector<std::string> takeNew();

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept { return std::hash<std::string_view>()(text); }
  };
  using Numbers = std::unordered_map<std::string, std::uint32_t, Hash, std::equal_to<>>;

  Numbers numbers_;
  // By symbol.
  Numbers functions_;
  std::vector<std::string> new_;
};

}  // namespace tensorrt_node::profile
