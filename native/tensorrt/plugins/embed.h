// Embed(tokens int32 [rows], table [vocabulary, width]) -> [rows, width]: rows of a table, zeros for tokens outside it.
// QuantizedEmbed is the same with a packed table; its attribute type, 'float16' or 'bfloat16', is that of the rows.
#pragma once

#include <optional>

#include "operator.h"
#include "packed_matrix.h"

namespace tensorrt_node::tensorrt::plugins {

class Embed final : public Operator {
 public:
  static OperatorType type();
  static OperatorType quantizedType();
  explicit Embed(const Fields&) {}
  Embed(const PackedMatrix& table, kernels::ElementType type) : packed_({table, type}) {}

  const char* name() const noexcept override { return packed_ ? "QuantizedEmbed" : "Embed"; }
  std::unique_ptr<Operator> clone() const override { return std::make_unique<Embed>(*this); }
  void save(SavedFields& fields) const override;
  Signature signature(std::size_t inputs) const override;
  std::vector<nvinfer1::DimsExprs> outputShapes(std::span<const nvinfer1::DimsExprs> inputs,
                                                nvinfer1::IExprBuilder& builder) const override;
  void check(const Shapes& shapes) const override;
  void enqueue(const Launch& launch) const override;

 private:
  struct Packed {
    PackedMatrix table;
    kernels::ElementType type;
  };
  std::optional<Packed> packed_;
};

}  // namespace tensorrt_node::tensorrt::plugins
