// ONNX files for tests: float models of a few nodes, in protobuf's wire format.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace test {

// A message of protobuf, field by field.
class ProtobufMessage {
 public:
  ProtobufMessage& integer(unsigned field, std::uint64_t value) {
    varint(field << 3);
    varint(value);
    return *this;
  }
  ProtobufMessage& fixed(unsigned field, float value) {
    varint(field << 3 | 5);
    std::string raw(sizeof value, '\0');
    std::memcpy(raw.data(), &value, sizeof value);
    text_ += raw;
    return *this;
  }
  ProtobufMessage& bytes(unsigned field, std::string_view value) {
    varint(field << 3 | 2);
    varint(value.size());
    text_.append(value);
    return *this;
  }
  ProtobufMessage& message(unsigned field, const ProtobufMessage& value) { return bytes(field, value.text()); }
  const std::string& text() const { return text_; }

 private:
  void varint(std::uint64_t value) {
    for (; value >= 128; value >>= 7) text_ += static_cast<char>((value & 127) | 128);
    text_ += static_cast<char>(value);
  }

  std::string text_;
};

enum class OnnxType : std::uint64_t { float32 = 1, int32 = 6, int64 = 7, float16 = 10, bfloat16 = 16 };

// Of a node.
class OnnxAttributes {
 public:
  OnnxAttributes& integer(std::string_view name, std::int64_t value) {
    return add(ProtobufMessage().bytes(1, name).integer(3, static_cast<std::uint64_t>(value)).integer(20, 2));
  }
  OnnxAttributes& real(std::string_view name, float value) {
    return add(ProtobufMessage().bytes(1, name).fixed(2, value).integer(20, 1));
  }
  OnnxAttributes& text(std::string_view name, std::string_view value) {
    return add(ProtobufMessage().bytes(1, name).bytes(4, value).integer(20, 3));
  }
  const std::vector<ProtobufMessage>& messages() const { return messages_; }

 private:
  OnnxAttributes& add(const ProtobufMessage& message) {
    messages_.push_back(message);
    return *this;
  }

  std::vector<ProtobufMessage> messages_;
};

// A dimension of -1 is dynamic.
class OnnxModel {
 public:
  OnnxModel& input(std::string_view name, const std::vector<std::int64_t>& dims, OnnxType type = OnnxType::float32) {
    graph_.message(11, value(name, &dims, type));
    return *this;
  }
  OnnxModel& output(std::string_view name, OnnxType type = OnnxType::float32) {
    graph_.message(12, value(name, nullptr, type));
    return *this;
  }
  OnnxModel& node(std::string_view type, const std::vector<std::string>& inputs,
                  const std::vector<std::string>& outputs, std::string_view name = {},
                  const OnnxAttributes& attributes = {}) {
    ProtobufMessage node;
    for (const std::string& each : inputs) node.bytes(1, each);
    for (const std::string& each : outputs) node.bytes(2, each);
    if (!name.empty()) node.bytes(3, name);
    for (const ProtobufMessage& each : attributes.messages()) node.message(5, each);
    graph_.message(1, node.bytes(4, type));
    return *this;
  }
  OnnxModel& weights(std::string_view name, const std::vector<std::int64_t>& dims, const std::vector<float>& values) {
    ProtobufMessage tensor;
    for (const std::int64_t each : dims) tensor.integer(1, static_cast<std::uint64_t>(each));
    std::string raw(values.size() * sizeof(float), '\0');
    std::memcpy(raw.data(), values.data(), raw.size());
    tensor.integer(2, static_cast<std::uint64_t>(OnnxType::float32)).bytes(8, name).bytes(9, raw);
    graph_.message(5, tensor);
    return *this;
  }

  // The file's bytes.
  std::string bytes() const {
    ProtobufMessage graph = graph_;
    graph.bytes(2, "test");
    return ProtobufMessage()
        .integer(1, 8)
        .message(7, graph)
        .message(8, ProtobufMessage().bytes(1, "").integer(2, 17))
        .text();
  }

 private:
  static ProtobufMessage value(std::string_view name, const std::vector<std::int64_t>* dims, OnnxType type) {
    ProtobufMessage tensor;
    tensor.integer(1, static_cast<std::uint64_t>(type));
    if (dims != nullptr) {
      ProtobufMessage shape;
      // Dimensions of one name have one range.
      for (std::size_t i = 0; i < dims->size(); ++i)
        shape.message(1, (*dims)[i] < 0 ? ProtobufMessage().bytes(2, std::string(name) + "_" + std::to_string(i))
                                        : ProtobufMessage().integer(1, static_cast<std::uint64_t>((*dims)[i])));
      tensor.message(2, shape);
    }
    return ProtobufMessage().bytes(1, name).message(2, ProtobufMessage().message(1, tensor));
  }

  ProtobufMessage graph_;
};

// y = relu(x * w), with w of 4 by 3: every weight is `weight`.
inline OnnxModel productModel(const std::vector<std::int64_t>& dims, float weight = 1) {
  return OnnxModel()
      .input("x", dims)
      .output("y")
      .weights("w", {4, 3}, std::vector<float>(12, weight))
      .node("MatMul", {"x", "w"}, {"m"}, "product")
      .node("Relu", {"m"}, {"y"}, "relu");
}

}  // namespace test
