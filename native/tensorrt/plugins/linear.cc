#include "linear.h"

#include <stdexcept>
#include <string>

#include "activations.h"
#include "shapes.h"

namespace tensorrt_node::tensorrt::plugins {
namespace {

constexpr const char* kNoActivation = "none";

std::vector<nvinfer1::PluginField> attributes() {
  return {{"has_norm"}, {"epsilon"}, {"activation"}, {"has_bias"}, {"has_residual"}, {"output_float32"}};
}

std::optional<kernels::Activation> activationOf(const std::string& name) {
  if (name == kNoActivation) return std::nullopt;
  return activationNamed(name);
}

}  // namespace

OperatorType Linear::type() {
  return {"Linear", attributes(), makeOperator<Linear>};
}

OperatorType Linear::quantizedType() {
  return {"QuantizedLinear", withPackedMatrix(attributes()), [](const Fields& fields) -> std::unique_ptr<Operator> {
            return std::make_unique<Linear>(fields, PackedMatrix(fields));
          }};
}

Linear::Linear(const Fields& fields, std::optional<PackedMatrix> packed)
    : packed_(packed),
      hasNorm_(fields.integer("has_norm", 0) != 0),
      epsilon_(fields.real("epsilon", 0)),
      activation_(activationOf(fields.text("activation", kNoActivation))),
      hasBias_(fields.integer("has_bias", 0) != 0),
      hasResidual_(fields.integer("has_residual", 0) != 0),
      outputFloat32_(fields.integer("output_float32", 0) != 0) {
  if (activation_ && hasResidual_) throw std::invalid_argument("takes no residual with an activation");
  if (packed_ && (packed_->format().gated != 0) != activation_.has_value())
    throw std::invalid_argument("takes gates and ups together with an activation, and not without one");
}

void Linear::save(SavedFields& fields) const {
  if (packed_) packed_->save(fields);
  fields.integer("has_norm", hasNorm_ ? 1 : 0);
  fields.real("epsilon", epsilon_);
  fields.text("activation", activation_ ? std::string(nameOf(*activation_)) : kNoActivation);
  fields.integer("has_bias", hasBias_ ? 1 : 0);
  fields.integer("has_residual", hasResidual_ ? 1 : 0);
  fields.integer("output_float32", outputFloat32_ ? 1 : 0);
}

Signature Linear::signature(std::size_t inputs) const {
  requireInputs(inputs, residualInput() + (hasResidual_ ? 1 : 0));
  std::vector given(inputs, Element::hidden);
  if (packed_) given[1] = Element::int32;
  return {given, {outputFloat32_ ? Element::float32 : Element::hidden}};
}

std::vector<nvinfer1::DimsExprs> Linear::outputShapes(std::span<const nvinfer1::DimsExprs> inputs,
                                                      nvinfer1::IExprBuilder& builder) const {
  const nvinfer1::IDimensionExpr* width = packed_ ? builder.constant(packed_->outer()) : inputs[1].d[0];
  if (activation_) width = builder.operation(nvinfer1::DimensionOperation::kFLOOR_DIV, *width, *builder.constant(2));
  return {matrix(inputs[0].d[0], width)};
}

void Linear::check(const Shapes& shapes) const {
  const nvinfer1::Dims& x = shapes.inputs[0];
  const nvinfer1::Dims& weight = shapes.inputs[1];
  requireRank(x, 2, "x");
  if (packed_) {
    requireSize(x, 1, packed_->inner(), "x");
    packed_->check(weight, "weight");
  } else {
    requireRank(weight, 2, "weight");
    requireSize(weight, 1, x.d[1], "weight");
    if (activation_) requireSize(weight, 0, 2 * shapes.outputs[0].d[1], "weight");
  }
  const std::int64_t outputs = outer(shapes);
  if (hasNorm_) {
    requireRank(shapes.inputs[2], 1, "norm");
    requireSize(shapes.inputs[2], 0, x.d[1], "norm");
  }
  if (hasBias_) {
    requireRank(shapes.inputs[biasInput()], 1, "bias");
    requireSize(shapes.inputs[biasInput()], 0, outputs, "bias");
  }
  if (!hasResidual_) return;
  const nvinfer1::Dims& residual = shapes.inputs[residualInput()];
  requireRank(residual, 2, "residual");
  requireSize(residual, 0, x.d[0], "residual");
  requireSize(residual, 1, outputs, "residual");
}

std::int64_t Linear::outer(const Shapes& shapes) const noexcept {
  return packed_ ? packed_->outer() : shapes.inputs[1].d[0];
}

std::size_t Linear::workspaceBytes(std::span<const nvinfer1::Dims> inputs) const {
  const auto rows = static_cast<std::int32_t>(inputs[0].d[0]);
  const auto inner = static_cast<std::int32_t>(inputs[0].d[1]);
  return packed_ ? kernels::quantizedWorkspaceBytes(rows, inner, packed_->outer(), hasNorm_)
                 : kernels::linearWorkspaceBytes(rows, inner, hasNorm_);
}

void Linear::attach(const std::shared_ptr<const kernels::Kernels>& kernels) {
  if (packed_) arrivals_ = std::make_shared<const kernels::Arrivals>(kernels);
}

void Linear::enqueue(const Launch& launch) const {
  kernels::LinearParameters parameters{};
  parameters.x = launch.inputs[0];
  parameters.weight = launch.inputs[1];
  parameters.bias = hasBias_ ? launch.inputs[biasInput()] : nullptr;
  parameters.residual = hasResidual_ ? launch.inputs[residualInput()] : nullptr;
  parameters.y = launch.outputs[0];
  parameters.rows = launch.input(0, 0);
  parameters.inner = launch.input(0, 1);
  parameters.outer = static_cast<std::int32_t>(outer(launch.shapes));
  parameters.outputType = outputFloat32_ ? kernels::ElementType::float32 : launch.type;
  parameters.normWeight = hasNorm_ ? launch.inputs[2] : nullptr;
  parameters.workspace = launch.workspace;
  parameters.epsilon = epsilon_;
  parameters.gated = activation_ ? 1 : 0;
  parameters.activation = activation_.value_or(kernels::Activation::silu);
  if (packed_) {
    parameters.arrivals = arrivals_->first();
    kernels::quantizedLinear(launch.kernels, launch.stream, launch.type, parameters, packed_->format());
  } else {
    kernels::linear(launch.kernels, launch.stream, launch.type, parameters);
  }
}

}  // namespace tensorrt_node::tensorrt::plugins
