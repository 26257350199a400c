// Embed(tokens int32 [rows], table [vocabulary, width]) -> [rows, width]: rows of a table, zeros for tokens outside it.
#pragma once

#include "operator.h"

namespace tensorrt_node::tensorrt::plugins {

class Embed final : public Operator {
 public:
  static OperatorType type();
  explicit Embed(const Fields&) {}

  const char* name() const noexcept override { return "Embed"; }
  std::unique_ptr<Operator> clone() const override { return std::make_unique<Embed>(*this); }
  void save(SavedFields&) const override {}
  Signature signature(std::size_t inputs) const override;
  std::vector<nvinfer1::DimsExprs> outputShapes(std::span<const nvinfer1::DimsExprs> inputs,
                                                nvinfer1::IExprBuilder& builder) const override;
  void check(const Shapes& shapes) const override;
  void enqueue(const Launch& launch) const override;
};

}  // namespace tensorrt_node::tensorrt::plugins
