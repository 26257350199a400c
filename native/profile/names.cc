#include "names.h"

#include <cxxabi.h>

#include <cstdlib>
#include <memory>
#include <utility>

namespace tensorrt_node::profile {

namespace {

std::string demangled(const char* symbol) {
  struct Free {
    void operator()(char* text) const noexcept { std::free(text); }
  };
  int status = 0;
  const std::unique_ptr<char, Free> text(abi::__cxa_demangle(symbol, nullptr, nullptr, &status));
  return status == 0 && text != nullptr ? text.get() : symbol;
}

}  // namespace

std::uint32_t Names::numberOf(std::string_view name) {
  const auto known = numbers_.find(name);
  if (known != numbers_.end()) return known->second;
  const auto number = static_cast<std::uint32_t>(numbers_.size() + 1);
  new_.emplace_back(name);
  numbers_.emplace(name, number);
  return number;
}

std::uint32_t Names::numberOfFunction(const char* symbol) {
  const std::string_view key(symbol != nullptr ? symbol : "a kernel without a name");
  const auto known = functions_.find(key);
  if (known != functions_.end()) return known->second;
  // The demangler takes some plain words, such as "f", for types.
  const std::uint32_t number = numberOf(key.starts_with("_Z") ? demangled(symbol) : std::string(key));
  functions_.emplace(key, number);
  return number;
}

std::vector<std::string> Names::takeNew() {
  return std::exchange(new_, {});
}

}  // namespace tensorrt_node::profile
