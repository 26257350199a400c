// RmsNorm(x [rows, width], weight [width], skip [rows, width]?) -> y [rows, width], sum [rows, width]?: the norm of
// x + skip, and that sum where `has_sum` is 1. Attributes: epsilon float, has_sum int (0).
#pragma once

#include "operator.h"

namespace tensorrt_node::tensorrt::plugins {

class RmsNorm final : public Operator {
 public:
  static OperatorType type();
  explicit RmsNorm(const Fields& fields);

  const char* name() const noexcept override { return "RmsNorm"; }
  std::unique_ptr<Operator> clone() const override { return std::make_unique<RmsNorm>(*this); }
  void save(SavedFields& fields) const override;
  int outputs() const noexcept override { return hasSum_ ? 2 : 1; }
  Signature signature(std::size_t inputs) const override;
  std::vector<nvinfer1::DimsExprs> outputShapes(std::span<const nvinfer1::DimsExprs> inputs,
                                                nvinfer1::IExprBuilder& builder) const override;
  void check(const Shapes& shapes) const override;
  void enqueue(const Launch& launch) const override;

 private:
  float epsilon_;
  bool hasSum_;
};

}  // namespace tensorrt_node::tensorrt::plugins
