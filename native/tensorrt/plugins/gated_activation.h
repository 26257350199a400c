// GatedActivation(gateUp [rows, 2 * width]) -> [rows, width]: activation(gate) * up. Attribute: activation, one of
// "silu", "gelu_tanh" and "gelu_erf".
#pragma once

#include "operator.h"

namespace tensorrt_node::tensorrt::plugins {

class GatedActivation final : public Operator {
 public:
  static OperatorType type();
  explicit GatedActivation(const Fields& fields);

  const char* name() const noexcept override { return "GatedActivation"; }
  std::unique_ptr<Operator> clone() const override { return std::make_unique<GatedActivation>(*this); }
  void save(SavedFields& fields) const override;
  Signature signature(std::size_t inputs) const override;
  std::vector<nvinfer1::DimsExprs> outputShapes(std::span<const nvinfer1::DimsExprs> inputs,
                                                nvinfer1::IExprBuilder& builder) const override;
  void check(const Shapes& shapes) const override;
  void enqueue(const Launch& launch) const override;

 private:
  kernels::Activation activation_;
};

}  // namespace tensorrt_node::tensorrt::plugins
