#include "onnx_reader.h"

#include <fstream>
#include <optional>

#include "onnx_types.h"

namespace simulated_tensorrt {

namespace {

// Numbers are those of the fields in onnx.proto3.
class OnnxReader {
 public:
  explicit OnnxReader(const std::string& folder) : folder_(folder) {}

  Graph model(Bytes bytes) {
    Graph result;
    bool found = false;
    for (Message message(bytes); message.next();) {
      if (message.field() != 7) continue;
      result = graph(message.bytes());
      found = true;
    }
    if (!found) throw std::runtime_error("the model has no graph");
    return result;
  }

 private:
  Graph graph(Bytes bytes) {
    Graph result;
    std::vector<Value> inputs;
    for (Message message(bytes); message.next();) {
      switch (message.field()) {
        case 1:
          result.nodes.push_back(node(message.bytes()));
          break;
        case 5: {
          std::string name;
          Tensor weights = tensor(message.bytes(), name);
          result.weights.insert_or_assign(name, std::move(weights));
          break;
        }
        case 11:
          inputs.push_back(value(message.bytes()));
          break;
        case 12:
          result.outputs.push_back(value(message.bytes()));
          break;
        default:
          break;
      }
    }
    // Old models list their weights among the inputs.
    for (Value& each : inputs)
      if (!result.weights.contains(each.name)) result.inputs.push_back(std::move(each));
    return result;
  }

  Node node(Bytes bytes) {
    Node result;
    for (Message message(bytes); message.next();) {
      if (message.field() == 1) result.inputs.push_back(message.text());
      if (message.field() == 2) result.outputs.push_back(message.text());
      if (message.field() == 3) result.name = message.text();
      if (message.field() == 4) result.op = message.text();
      if (message.field() == 5) attribute(message.bytes(), result);
    }
    if (result.outputs.empty()) throw std::runtime_error("a node without outputs");
    return result;
  }

  void attribute(Bytes bytes, Node& into) {
    std::string name;
    std::vector<std::int64_t> integers;
    std::vector<float> floats;
    std::optional<std::string> text;
    for (Message message(bytes); message.next();) {
      if (message.field() == 1) name = message.text();
      if (message.field() == 3 || message.field() == 8)
        message.eachInteger([&](std::int64_t each) { integers.push_back(each); });
      if (message.field() == 2 || message.field() == 7) message.eachFloat([&](float each) { floats.push_back(each); });
      if (message.field() == 4) text = message.text();
      if (message.field() == 5) {
        std::string unnamed;
        into.tensors.insert_or_assign(name, tensor(message.bytes(), unnamed));
      }
    }
    if (!integers.empty()) into.integers.insert_or_assign(name, std::move(integers));
    if (!floats.empty()) into.floats.insert_or_assign(name, std::move(floats));
    if (text) into.texts.insert_or_assign(name, std::move(*text));
  }

  Value value(Bytes bytes) {
    Value result;
    for (Message message(bytes); message.next();) {
      if (message.field() == 1) result.name = message.text();
      if (message.field() != 2) continue;
      for (Message type(message.bytes()); type.next();)
        if (type.field() == 1) tensorType(type.bytes(), result);
    }
    return result;
  }

  void tensorType(Bytes bytes, Value& into) {
    for (Message message(bytes); message.next();) {
      if (message.field() == 1) into.type = typeOfOnnx(message.integer());
      if (message.field() != 2) continue;
      for (Message shape(message.bytes()); shape.next();)
        if (shape.field() == 1) dimension(shape.bytes(), into);
    }
  }

  void dimension(Bytes bytes, Value& into) {
    std::int64_t size = -1;
    std::string name;
    for (Message message(bytes); message.next();) {
      if (message.field() == 1) size = message.integer();
      if (message.field() == 2) name = message.text();
    }
    into.dims.push_back(size < 0 ? -1 : size);
    into.dimNames.push_back(name);
  }

  Tensor tensor(Bytes bytes, std::string& name) {
    Shape dims;
    std::int64_t type = 0;
    std::map<std::string, std::string> external;
    for (Message message(bytes); message.next();) {
      if (message.field() == 1) message.eachInteger([&](std::int64_t each) { dims.push_back(each); });
      if (message.field() == 2) type = message.integer();
      if (message.field() == 8) name = message.text();
      if (message.field() == 13) entry(message.bytes(), external);
    }
    if (!isKnown(dims)) throw std::runtime_error("weights " + name + " of a negative size");
    Tensor result{typeOfOnnx(type), std::move(dims), {}};
    const std::size_t count = elementsOf(result.dims);
    if (count > (std::size_t{1} << 32)) throw std::runtime_error("weights " + name + " are too large");
    result.data.resize(count * sizeOf(result.type));
    if (external.contains("location")) {
      readExternal(external, result);
    } else {
      fill(bytes, result, name);
    }
    return result;
  }

  static void fill(Bytes bytes, Tensor& into, const std::string& name) {
    const std::size_t count = elementsOf(into.dims);
    const bool isHalf = into.type == DataType::kHALF || into.type == DataType::kBF16;
    std::size_t filled = 0;
    for (Message message(bytes); message.next();) {
      if (message.field() == 9) {
        if (message.bytes().size() != into.data.size()) break;
        std::copy(message.bytes().begin(), message.bytes().end(), into.data.begin());
        filled = count;
      }
      if (message.field() == 4)
        message.eachFloat([&](float each) {
          if (filled < count) storeFloat(into.type, into.data.data(), filled++, static_cast<double>(each));
        });
      if (message.field() == 5 || message.field() == 7)
        message.eachInteger([&](std::int64_t each) {
          if (filled >= count) return;
          if (isHalf) {
            // The bits of the number.
            const auto half = static_cast<std::uint16_t>(each);
            std::memcpy(&into.data[2 * filled++], &half, 2);
          } else {
            storeInteger(into.type, into.data.data(), filled++, each);
          }
        });
    }
    if (filled != count) throw std::runtime_error("weights " + name + " have too few elements");
  }

  static void entry(Bytes bytes, std::map<std::string, std::string>& into) {
    std::string key;
    std::string text;
    for (Message message(bytes); message.next();) {
      if (message.field() == 1) key = message.text();
      if (message.field() == 2) text = message.text();
    }
    into.insert_or_assign(key, text);
  }

  void readExternal(const std::map<std::string, std::string>& external, Tensor& into) {
    const std::string path = folder_ + "/" + external.at("location");
    std::ifstream file(path, std::ios::binary);
    const auto offset = external.find("offset");
    if (offset != external.end()) file.seekg(std::stoll(offset->second));
    file.read(reinterpret_cast<char*>(into.data.data()), static_cast<std::streamsize>(into.data.size()));
    if (!file) throw std::runtime_error("Failed to open file: " + path);
  }

  const std::string folder_;
};

}  // namespace

Graph readOnnx(Bytes model, const std::string& folder) {
  return OnnxReader(folder).model(model);
}

}  // namespace simulated_tensorrt
