// Reading protobuf's wire format.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

namespace simulated_tensorrt {

using Bytes = std::span<const std::byte>;

inline std::string textOf(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// The fields of a message, one after the other. Throws std::runtime_error where the bytes are no message.
class Message {
 public:
  explicit Message(Bytes bytes) : rest_(bytes) {}

  // False at the end.
  bool next() {
    if (rest_.empty()) return false;
    const std::uint64_t key = varint(rest_);
    field_ = key >> 3;
    wire_ = key & 7;
    switch (wire_) {
      case 0:
        number_ = varint(rest_);
        return true;
      case 1:
        value_ = take(8);
        return true;
      case 2:
        value_ = take(varint(rest_));
        return true;
      case 5:
        value_ = take(4);
        return true;
      default:
        throw std::runtime_error("no protobuf message");
    }
  }

  std::uint64_t field() const { return field_; }
  std::int64_t integer() const {
    if (wire_ != 0) throw std::runtime_error("a protobuf field of another type");
    return static_cast<std::int64_t>(number_);
  }
  Bytes bytes() const {
    if (wire_ != 2) throw std::runtime_error("a protobuf field of another type");
    return value_;
  }
  std::string text() const { return textOf(bytes()); }

  // Of a repeated field of numbers, packed or not.
  template <typename Function>
  void eachInteger(Function function) const {
    if (wire_ == 0) return function(static_cast<std::int64_t>(number_));
    for (Bytes packed = bytes(); !packed.empty();) function(static_cast<std::int64_t>(varint(packed)));
  }
  template <typename Function>
  void eachFloat(Function function) const {
    if (wire_ != 2 && wire_ != 5) throw std::runtime_error("a protobuf field of another type");
    for (std::size_t at = 0; at + 4 <= value_.size(); at += 4) {
      float value = 0;
      std::memcpy(&value, value_.data() + at, 4);
      function(value);
    }
  }

 private:
  static std::uint64_t varint(Bytes& from) {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      if (from.empty()) throw std::runtime_error("a protobuf message that ends early");
      const auto byte = static_cast<std::uint64_t>(from[0]);
      from = from.subspan(1);
      value |= (byte & 127) << shift;
      if (byte < 128) return value;
    }
    throw std::runtime_error("a protobuf number without an end");
  }

  Bytes take(std::uint64_t count) {
    if (count > rest_.size()) throw std::runtime_error("a protobuf message that ends early");
    const Bytes taken = rest_.first(count);
    rest_ = rest_.subspan(count);
    return taken;
  }

  Bytes rest_;
  std::uint64_t field_ = 0;
  std::uint64_t wire_ = 0;
  std::uint64_t number_ = 0;
  Bytes value_;
};

}  // namespace simulated_tensorrt
