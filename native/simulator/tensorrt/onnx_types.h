// ONNX's numbers of element types.
#pragma once

#include <stdexcept>
#include <string>

#include "tensor_data.h"

namespace simulated_tensorrt {

// Throws std::runtime_error for types that TensorRT does not have.
inline DataType typeOfOnnx(std::int64_t number) {
  switch (number) {
    case 1:
      return DataType::kFLOAT;
    case 2:
      return DataType::kUINT8;
    case 3:
      return DataType::kINT8;
    case 6:
      return DataType::kINT32;
    case 7:
      return DataType::kINT64;
    case 9:
      return DataType::kBOOL;
    case 10:
      return DataType::kHALF;
    case 16:
      return DataType::kBF16;
    case 17:
      return DataType::kFP8;
    default:
      throw std::runtime_error("Unsupported ONNX data type: " + std::to_string(number));
  }
}

}  // namespace simulated_tensorrt
