#include "gated_activation.h"

#include <string>

#include "activations.h"
#include "shapes.h"

namespace tensorrt_node::tensorrt::plugins {

OperatorType GatedActivation::type() {
  return {"GatedActivation", {{"activation"}}, makeOperator<GatedActivation>};
}

GatedActivation::GatedActivation(const Fields& fields) : activation_(activationNamed(fields.text("activation"))) {}

void GatedActivation::save(SavedFields& fields) const {
  fields.text("activation", std::string(nameOf(activation_)));
}

Signature GatedActivation::signature(std::size_t inputs) const {
  requireInputs(inputs, 1);
  return {{Element::hidden}, {Element::hidden}};
}

std::vector<nvinfer1::DimsExprs> GatedActivation::outputShapes(std::span<const nvinfer1::DimsExprs> inputs,
                                                               nvinfer1::IExprBuilder& builder) const {
  const auto* const width =
      builder.operation(nvinfer1::DimensionOperation::kFLOOR_DIV, *inputs[0].d[1], *builder.constant(2));
  return {matrix(inputs[0].d[0], width)};
}

void GatedActivation::check(const Shapes& shapes) const {
  requireRank(shapes.inputs[0], 2, "gateUp");
  requireSize(shapes.inputs[0], 1, 2 * shapes.outputs[0].d[1], "gateUp");
}

void GatedActivation::enqueue(const Launch& launch) const {
  kernels::GatedActivationParameters parameters{};
  parameters.gateUp = launch.inputs[0];
  parameters.y = launch.outputs[0];
  parameters.rows = launch.input(0, 0);
  parameters.width = launch.input(0, 1) / 2;
  parameters.activation = activation_;
  kernels::gatedActivation(launch.kernels, launch.stream, launch.type, parameters);
}

}  // namespace tensorrt_node::tensorrt::plugins
