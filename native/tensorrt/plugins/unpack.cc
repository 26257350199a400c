#include "unpack.h"

#include "shapes.h"

namespace tensorrt_node::tensorrt::plugins {

OperatorType Unpack::type() {
  return {"Unpack", withPackedMatrix({{"type"}}), makeOperator<Unpack>};
}

Unpack::Unpack(const Fields& fields) : weight_(fields), type_(hiddenTypeNamed(fields.text("type"))) {}

void Unpack::save(SavedFields& fields) const {
  weight_.save(fields);
  fields.text("type", nameOf(type_));
}

Signature Unpack::signature(std::size_t inputs) const {
  requireInputs(inputs, 1);
  return {{Element::int32}, {elementOf(type_)}};
}

std::vector<nvinfer1::DimsExprs> Unpack::outputShapes(std::span<const nvinfer1::DimsExprs>,
                                                      nvinfer1::IExprBuilder& builder) const {
  return {matrix(builder.constant(weight_.outer()), builder.constant(weight_.inner()))};
}

void Unpack::check(const Shapes& shapes) const {
  weight_.check(shapes.inputs[0], "weight");
}

void Unpack::enqueue(const Launch& launch) const {
  kernels::unpackQuantized(launch.kernels, launch.stream, type_,
                           {.packed = launch.inputs[0],
                            .out = launch.outputs[0],
                            .outer = weight_.outer(),
                            .inner = weight_.inner(),
                            .format = weight_.format()});
}

}  // namespace tensorrt_node::tensorrt::plugins
