// A packed matrix (kernels/quantized_format.h) as an input of operators: int32 [words]. Attributes: outer int, inner
// int; codes string: 'uint4', 'uint8', 'float8'; offsets string: 'middle', 'codes', 'floating'; block int: 0 where a
// row has one scale; gated int (0).
#pragma once

#include <NvInferRuntime.h>

#include <cstdint>
#include <string>
#include <vector>

#include "../../kernels/parameters.h"
#include "fields.h"
#include "operator.h"

namespace tensorrt_node::tensorrt::plugins {

// Throw std::invalid_argument for other names.
kernels::CodeType codeTypeNamed(const std::string& name);
kernels::Offsets offsetsNamed(const std::string& name);
// 'float16' or 'bfloat16', of an operator whose inputs do not tell.
kernels::ElementType hiddenTypeNamed(const std::string& name);
const char* nameOf(kernels::ElementType type) noexcept;
Element elementOf(kernels::ElementType type) noexcept;

class PackedMatrix {
 public:
  // Throws std::invalid_argument for a form that there is no kernel for.
  explicit PackedMatrix(const Fields& fields);

  void save(SavedFields& fields) const;
  // Throws std::invalid_argument unless the tensor holds such a matrix.
  void check(const nvinfer1::Dims& words, const char* tensor) const;

  const kernels::QuantizedFormat& format() const noexcept { return format_; }
  std::int32_t outer() const noexcept { return outer_; }
  std::int32_t inner() const noexcept { return inner_; }

 private:
  kernels::QuantizedFormat format_;
  std::int32_t outer_;
  std::int32_t inner_;
};

// For OperatorType, before an operator's own.
std::vector<nvinfer1::PluginField> withPackedMatrix(std::vector<nvinfer1::PluginField> attributes);

}  // namespace tensorrt_node::tensorrt::plugins
