#include "embed.h"

#include "shapes.h"

namespace tensorrt_node::tensorrt::plugins {

OperatorType Embed::type() {
  return {"Embed", {}, makeOperator<Embed>};
}

OperatorType Embed::quantizedType() {
  return {"QuantizedEmbed", withPackedMatrix({{"type"}}), [](const Fields& fields) -> std::unique_ptr<Operator> {
            return std::make_unique<Embed>(PackedMatrix(fields), hiddenTypeNamed(fields.text("type")));
          }};
}

void Embed::save(SavedFields& fields) const {
  if (!packed_) return;
  packed_->table.save(fields);
  fields.text("type", nameOf(packed_->type));
}

Signature Embed::signature(std::size_t inputs) const {
  requireInputs(inputs, 2);
  if (packed_) return {{Element::int32, Element::int32}, {elementOf(packed_->type)}};
  return {{Element::int32, Element::hidden}, {Element::hidden}};
}

std::vector<nvinfer1::DimsExprs> Embed::outputShapes(std::span<const nvinfer1::DimsExprs> inputs,
                                                     nvinfer1::IExprBuilder& builder) const {
  return {matrix(inputs[0].d[0], packed_ ? builder.constant(packed_->table.inner()) : inputs[1].d[1])};
}

void Embed::check(const Shapes& shapes) const {
  requireRank(shapes.inputs[0], 1, "tokens");
  if (packed_)
    packed_->table.check(shapes.inputs[1], "table");
  else
    requireRank(shapes.inputs[1], 2, "table");
}

void Embed::enqueue(const Launch& launch) const {
  kernels::EmbedParameters parameters{};
  parameters.tokens = launch.in<std::int32_t>(0);
  parameters.table = launch.inputs[1];
  parameters.out = launch.outputs[0];
  parameters.rows = launch.input(0, 0);
  if (packed_) {
    parameters.width = packed_->table.inner();
    parameters.vocabulary = packed_->table.outer();
    kernels::quantizedEmbed(launch.kernels, launch.stream, packed_->type, parameters, packed_->table.format());
    return;
  }
  parameters.width = launch.input(1, 1);
  parameters.vocabulary = launch.input(1, 0);
  kernels::embed(launch.kernels, launch.stream, launch.type, parameters);
}

}  // namespace tensorrt_node::tensorrt::plugins
