// Linear(x [rows, inner], weight [outer, inner], norm [inner]?, bias [outer]?, residual [rows, outer]?) -> y [rows,
// outer]: x * transpose(weight) + bias + residual, for few rows. With `norm` x is normalised first, as by RmsNorm; with
// an activation y [rows, outer / 2] is activation(first half) * second half of the product. Attributes: has_norm int
// (0), has_bias int (0), has_residual int (0) say which of the optional inputs are there; epsilon float (0), of the
// norm; activation string ('none'), or one of GatedActivation's, without a residual; output_float32 int (0).
// QuantizedLinear is the same with a packed weight, for any number of rows; its attribute gated is 1 where there is an
// activation.
#pragma once

#include <memory>
#include <optional>

#include "operator.h"
#include "packed_matrix.h"

namespace tensorrt_node::tensorrt::plugins {

class Linear final : public Operator {
 public:
  static OperatorType type();
  static OperatorType quantizedType();
  explicit Linear(const Fields& fields, std::optional<PackedMatrix> packed = std::nullopt);

  const char* name() const noexcept override { return packed_ ? "QuantizedLinear" : "Linear"; }
  std::unique_ptr<Operator> clone() const override { return std::make_unique<Linear>(*this); }
  void save(SavedFields& fields) const override;
  Signature signature(std::size_t inputs) const override;
  std::vector<nvinfer1::DimsExprs> outputShapes(std::span<const nvinfer1::DimsExprs> inputs,
                                                nvinfer1::IExprBuilder& builder) const override;
  void check(const Shapes& shapes) const override;
  std::size_t workspaceBytes(std::span<const nvinfer1::Dims> inputs) const override;
  void attach(const std::shared_ptr<const kernels::Kernels>& kernels) override;
  void enqueue(const Launch& launch) const override;

 private:
  // Of the weight.
  std::int64_t outer(const Shapes& shapes) const noexcept;
  std::size_t biasInput() const noexcept { return hasNorm_ ? 3 : 2; }
  std::size_t residualInput() const noexcept { return biasInput() + (hasBias_ ? 1 : 0); }

  std::optional<PackedMatrix> packed_;
  bool hasNorm_;
  float epsilon_;
  std::optional<kernels::Activation> activation_;
  bool hasBias_;
  bool hasResidual_;
  bool outputFloat32_;
  // Of the execution context that it is attached to, whose executions follow each other.
  std::shared_ptr<const kernels::Arrivals> arrivals_;
};

}  // namespace tensorrt_node::tensorrt::plugins
