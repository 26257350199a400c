// Unpack(weight int32 [words]) -> [outer, inner]: a packed matrix, dense, for products of many rows. Attributes: those
// of packed_matrix.h; type string: 'float16' or 'bfloat16', of what comes out.
#pragma once

#include "operator.h"
#include "packed_matrix.h"

namespace tensorrt_node::tensorrt::plugins {

class Unpack final : public Operator {
 public:
  static OperatorType type();
  explicit Unpack(const Fields& fields);

  const char* name() const noexcept override { return "Unpack"; }
  std::unique_ptr<Operator> clone() const override { return std::make_unique<Unpack>(*this); }
  void save(SavedFields& fields) const override;
  Signature signature(std::size_t inputs) const override;
  std::vector<nvinfer1::DimsExprs> outputShapes(std::span<const nvinfer1::DimsExprs> inputs,
                                                nvinfer1::IExprBuilder& builder) const override;
  void check(const Shapes& shapes) const override;
  void enqueue(const Launch& launch) const override;

 private:
  PackedMatrix weight_;
  kernels::ElementType type_;
};

}  // namespace tensorrt_node::tensorrt::plugins
