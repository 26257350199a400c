#include "embed.h"

#include "shapes.h"

namespace tensorrt_node::tensorrt::plugins {

OperatorType Embed::type() {
  return {"Embed", {}, makeOperator<Embed>};
}

Signature Embed::signature(std::size_t inputs) const {
  requireInputs(inputs, 2);
  return {{Element::int32, Element::hidden}, {Element::hidden}};
}

std::vector<nvinfer1::DimsExprs> Embed::outputShapes(std::span<const nvinfer1::DimsExprs> inputs,
                                                     nvinfer1::IExprBuilder&) const {
  return {matrix(inputs[0].d[0], inputs[1].d[1])};
}

void Embed::check(const Shapes& shapes) const {
  requireRank(shapes.inputs[0], 1, "tokens");
  requireRank(shapes.inputs[1], 2, "table");
}

void Embed::enqueue(const Launch& launch) const {
  kernels::EmbedParameters parameters{};
  parameters.tokens = launch.in<std::int32_t>(0);
  parameters.table = launch.inputs[1];
  parameters.out = launch.outputs[0];
  parameters.rows = launch.input(0, 0);
  parameters.width = launch.input(1, 1);
  parameters.vocabulary = launch.input(1, 0);
  kernels::embed(launch.kernels, launch.stream, launch.type, parameters);
}

}  // namespace tensorrt_node::tensorrt::plugins
