#include "gated_activation.h"

#include <array>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "shapes.h"

namespace tensorrt_node::tensorrt::plugins {
namespace {

using kernels::Activation;

constexpr std::array<std::pair<std::string_view, Activation>, 3> kNames{
    {{"silu", Activation::silu}, {"gelu_tanh", Activation::geluTanh}, {"gelu_erf", Activation::geluErf}}};

Activation named(const std::string& name) {
  for (const auto& [known, activation] : kNames)
    if (known == name) return activation;
  throw std::invalid_argument("attribute 'activation' must be 'silu', 'gelu_tanh' or 'gelu_erf', got '" + name + "'");
}

}  // namespace

OperatorType GatedActivation::type() {
  return {"GatedActivation", {{"activation"}}, makeOperator<GatedActivation>};
}

GatedActivation::GatedActivation(const Fields& fields) : activation_(named(fields.text("activation"))) {}

void GatedActivation::save(SavedFields& fields) const {
  for (const auto& [name, activation] : kNames)
    if (activation == activation_) fields.text("activation", std::string(name));
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
