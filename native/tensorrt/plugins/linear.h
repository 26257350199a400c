// Linear(x [rows, inner], weight [outer, inner], norm [inner]?, bias [outer]?, residual [rows, outer]?) -> y [rows,
// outer]: x * transpose(weight) + bias + residual, for few rows. With `norm` x is normalised first, as by RmsNorm; with
// an activation y [rows, outer / 2] is activation(first half) * second half of the product. Attributes: has_norm int
// (0), has_bias int (0), has_residual int (0) say which of the optional inputs are there; epsilon float (0), of the
// norm; activation string ('none'), or one of GatedActivation's, without a residual; output_float32 int (0).
#pragma once

#include <optional>

#include "operator.h"

namespace tensorrt_node::tensorrt::plugins {

class Linear final : public Operator {
 public:
  static OperatorType type();
  explicit Linear(const Fields& fields);

  const char* name() const noexcept override { return "Linear"; }
  std::unique_ptr<Operator> clone() const override { return std::make_unique<Linear>(*this); }
  void save(SavedFields& fields) const override;
  Signature signature(std::size_t inputs) const override;
  std::vector<nvinfer1::DimsExprs> outputShapes(std::span<const nvinfer1::DimsExprs> inputs,
                                                nvinfer1::IExprBuilder& builder) const override;
  void check(const Shapes& shapes) const override;
  std::size_t workspaceBytes(std::span<const nvinfer1::Dims> inputs) const override;
  void enqueue(const Launch& launch) const override;

 private:
  std::size_t biasInput() const noexcept { return hasNorm_ ? 3 : 2; }
  std::size_t residualInput() const noexcept { return biasInput() + (hasBias_ ? 1 : 0); }

  bool hasNorm_;
  float epsilon_;
  std::optional<kernels::Activation> activation_;
  bool hasBias_;
  bool hasResidual_;
  bool outputFloat32_;
};

}  // namespace tensorrt_node::tensorrt::plugins
