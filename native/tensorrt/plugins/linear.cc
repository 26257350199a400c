#include "linear.h"

#include "shapes.h"

namespace tensorrt_node::tensorrt::plugins {

OperatorType Linear::type() {
  return {"Linear", {{"has_bias"}, {"has_residual"}, {"output_float32"}}, makeOperator<Linear>};
}

Linear::Linear(const Fields& fields)
    : hasBias_(fields.integer("has_bias", 0) != 0),
      hasResidual_(fields.integer("has_residual", 0) != 0),
      outputFloat32_(fields.integer("output_float32", 0) != 0) {}

void Linear::save(SavedFields& fields) const {
  fields.integer("has_bias", hasBias_ ? 1 : 0);
  fields.integer("has_residual", hasResidual_ ? 1 : 0);
  fields.integer("output_float32", outputFloat32_ ? 1 : 0);
}

Signature Linear::signature(std::size_t inputs) const {
  requireInputs(inputs, residualInput() + (hasResidual_ ? 1 : 0));
  return {std::vector(inputs, Element::hidden), {outputFloat32_ ? Element::float32 : Element::hidden}};
}

std::vector<nvinfer1::DimsExprs> Linear::outputShapes(std::span<const nvinfer1::DimsExprs> inputs,
                                                      nvinfer1::IExprBuilder&) const {
  return {matrix(inputs[0].d[0], inputs[1].d[0])};
}

void Linear::check(const Shapes& shapes) const {
  const nvinfer1::Dims& x = shapes.inputs[0];
  const nvinfer1::Dims& weight = shapes.inputs[1];
  requireRank(x, 2, "x");
  requireRank(weight, 2, "weight");
  requireSize(weight, 1, x.d[1], "weight");
  if (hasBias_) {
    requireRank(shapes.inputs[2], 1, "bias");
    requireSize(shapes.inputs[2], 0, weight.d[0], "bias");
  }
  if (!hasResidual_) return;
  const nvinfer1::Dims& residual = shapes.inputs[residualInput()];
  requireRank(residual, 2, "residual");
  requireSize(residual, 0, x.d[0], "residual");
  requireSize(residual, 1, weight.d[0], "residual");
}

void Linear::enqueue(const Launch& launch) const {
  kernels::LinearParameters parameters{};
  parameters.x = launch.inputs[0];
  parameters.weight = launch.inputs[1];
  parameters.bias = hasBias_ ? launch.inputs[2] : nullptr;
  parameters.residual = hasResidual_ ? launch.inputs[residualInput()] : nullptr;
  parameters.y = launch.outputs[0];
  parameters.rows = launch.input(0, 0);
  parameters.inner = launch.input(0, 1);
  parameters.outer = launch.input(1, 0);
  parameters.outputType = outputFloat32_ ? kernels::ElementType::float32 : launch.type;
  kernels::linear(launch.kernels, launch.stream, launch.type, parameters);
}

}  // namespace tensorrt_node::tensorrt::plugins
