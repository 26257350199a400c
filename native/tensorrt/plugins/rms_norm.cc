#include "rms_norm.h"

#include <stdexcept>

#include "shapes.h"

namespace tensorrt_node::tensorrt::plugins {

OperatorType RmsNorm::type() {
  return {"RmsNorm", {{"epsilon"}, {"has_sum"}}, makeOperator<RmsNorm>};
}

RmsNorm::RmsNorm(const Fields& fields) : epsilon_(fields.real("epsilon")), hasSum_(fields.integer("has_sum", 0) != 0) {}

void RmsNorm::save(SavedFields& fields) const {
  fields.real("epsilon", epsilon_);
  fields.integer("has_sum", hasSum_ ? 1 : 0);
}

Signature RmsNorm::signature(std::size_t inputs) const {
  if (inputs != 2 && inputs != 3) throw std::invalid_argument("takes 2 or 3 inputs, got " + std::to_string(inputs));
  return {std::vector(inputs, Element::hidden), std::vector(hasSum_ ? 2 : 1, Element::hidden)};
}

std::vector<nvinfer1::DimsExprs> RmsNorm::outputShapes(std::span<const nvinfer1::DimsExprs> inputs,
                                                       nvinfer1::IExprBuilder&) const {
  return std::vector(hasSum_ ? 2 : 1, inputs[0]);
}

void RmsNorm::check(const Shapes& shapes) const {
  const nvinfer1::Dims& x = shapes.inputs[0];
  requireRank(x, 2, "x");
  requireRank(shapes.inputs[1], 1, "weight");
  requireSize(shapes.inputs[1], 0, x.d[1], "weight");
  if (shapes.inputs.size() < 3) return;
  requireRank(shapes.inputs[2], 2, "skip");
  requireSize(shapes.inputs[2], 0, x.d[0], "skip");
  requireSize(shapes.inputs[2], 1, x.d[1], "skip");
}

void RmsNorm::enqueue(const Launch& launch) const {
  kernels::RmsNormParameters parameters{};
  parameters.x = launch.inputs[0];
  parameters.weight = launch.inputs[1];
  parameters.skip = launch.shapes.inputs.size() > 2 ? launch.inputs[2] : nullptr;
  parameters.y = launch.outputs[0];
  parameters.sum = hasSum_ ? launch.outputs[1] : nullptr;
  parameters.rows = launch.input(0, 0);
  parameters.width = launch.input(0, 1);
  parameters.epsilon = epsilon_;
  kernels::rmsNorm(launch.kernels, launch.stream, launch.type, parameters);
}

}  // namespace tensorrt_node::tensorrt::plugins
