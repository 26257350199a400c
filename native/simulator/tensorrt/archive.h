// Writing and reading plans and timing caches: numbers and texts, one after the other.
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace simulated_tensorrt {

// FNV-1a.
inline std::uint64_t digest(std::string_view bytes, std::uint64_t from = 14695981039346656037ULL) {
  for (const char each : bytes) from = (from ^ static_cast<unsigned char>(each)) * 1099511628211ULL;
  return from;
}

class Writer {
 public:
  template <typename Number>
    requires(std::is_arithmetic_v<Number> || std::is_enum_v<Number>)
  void put(Number number) {
    bytes_.append(reinterpret_cast<const char*>(&number), sizeof number);
  }
  void put(std::string_view text) {
    put<std::uint64_t>(text.size());
    bytes_ += text;
  }
  // Elements of any container, by `each(element)`.
  template <typename Container, typename Each>
  void list(const Container& container, Each each) {
    put<std::uint64_t>(container.size());
    for (const auto& element : container) each(element);
  }

  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

// Throws std::runtime_error when the bytes end early.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}

  template <typename Number>
  Number get() {
    Number number;
    std::memcpy(&number, take(sizeof number).data(), sizeof number);
    return number;
  }
  std::string text() { return std::string(take(get<std::uint64_t>())); }
  template <typename Each>
  void list(Each each) {
    const auto count = get<std::uint64_t>();
    for (std::uint64_t i = 0; i < count; ++i) each();
  }
  bool atEnd() const { return rest_.empty(); }

 private:
  std::string_view take(std::uint64_t count) {
    if (count > rest_.size()) throw std::runtime_error("the bytes end early");
    const std::string_view taken = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return taken;
  }

  std::string_view rest_;
};

}  // namespace simulated_tensorrt
