// Add, Sub, Mul, Div; Identity, Neg, Abs, Relu, Sqrt, Exp, Sigmoid, Tanh; Cast, MatMul, Gemm, Transpose, Slice, Concat,
// NonZero, Shape, Reshape, Expand, Constant. Each as ONNX defines it; arithmetic is done in double or int64 and rounded
// to the type.
#include "operators.h"

#include <NvInfer.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <string_view>

#include "onnx_types.h"

namespace simulated_tensorrt {

namespace {

using nvinfer1::LayerType;

template <typename Input>
const Input& required(const std::vector<const Input*>& inputs, std::size_t index) {
  if (index >= inputs.size() || inputs[index] == nullptr)
    throw std::runtime_error("Assertion failed: input " + std::to_string(index) + " is missing");
  return *inputs[index];
}

std::int64_t attribute(const Node& node, const std::string& name, std::int64_t otherwise) {
  const auto found = node.integers.find(name);
  return found == node.integers.end() || found->second.empty() ? otherwise : found->second[0];
}

std::int64_t broadcastDimension(std::int64_t left, std::int64_t right) {
  if (left == 1) return right;
  if (right == 1 || left == right) return left;
  if (left < 0) return right;
  if (right < 0) return left;
  throw std::runtime_error("broadcast dimensions must be conformable: " + std::to_string(left) + " and " +
                           std::to_string(right));
}

Shape broadcast(const Shape& left, const Shape& right) {
  Shape result(std::max(left.size(), right.size()), 1);
  for (std::size_t i = 0; i < result.size(); ++i) {
    const std::int64_t l = i < left.size() ? left[left.size() - 1 - i] : 1;
    const std::int64_t r = i < right.size() ? right[right.size() - 1 - i] : 1;
    result[result.size() - 1 - i] = broadcastDimension(l, r);
  }
  return result;
}

// The element of an input of shape `from` that a broadcast to shape `to` puts at `index`.
std::size_t broadcastIndex(const Shape& from, const Shape& to, std::size_t index) {
  std::size_t result = 0;
  std::size_t stride = 1;
  for (std::size_t i = 0; i < to.size(); ++i) {
    const auto size = static_cast<std::size_t>(to[to.size() - 1 - i]);
    const std::size_t at = index % size;
    index /= size;
    if (i >= from.size()) continue;
    const auto own = static_cast<std::size_t>(from[from.size() - 1 - i]);
    if (own != 1) result += at * stride;
    stride *= own;
  }
  return result;
}

Info sameAsFirst(const Node&, const std::vector<const Info*>& inputs) {
  return {required(inputs, 0).type, required(inputs, 0).dims, {}};
}

Info inferBinary(const Node&, const std::vector<const Info*>& inputs) {
  const Info& left = required(inputs, 0);
  const Info& right = required(inputs, 1);
  if (left.type != right.type)
    throw std::runtime_error(std::string("elementwise inputs must have same type, got ") + nameOf(left.type) + " and " +
                             nameOf(right.type));
  return {left.type, broadcast(left.dims, right.dims), {}};
}

template <typename Float, typename Integer>
Tensor binary(const std::vector<const Tensor*>& inputs, Float ofFloats, Integer ofIntegers) {
  const Tensor& left = required(inputs, 0);
  const Tensor& right = required(inputs, 1);
  Tensor result = makeTensor(left.type, broadcast(left.dims, right.dims));
  for (std::size_t i = 0; i < elementsOf(result.dims); ++i) {
    const std::size_t l = broadcastIndex(left.dims, result.dims, i);
    const std::size_t r = broadcastIndex(right.dims, result.dims, i);
    if (isFloat(left.type)) {
      const double a = loadFloat(left.type, left.data.data(), l);
      storeFloat(left.type, result.data.data(), i, ofFloats(a, loadFloat(right.type, right.data.data(), r)));
    } else {
      const auto a = static_cast<std::uint64_t>(loadInteger(left.type, left.data.data(), l));
      const auto b = static_cast<std::uint64_t>(loadInteger(right.type, right.data.data(), r));
      storeInteger(left.type, result.data.data(), i, static_cast<std::int64_t>(ofIntegers(a, b)));
    }
  }
  return result;
}

Tensor add(const Node&, const std::vector<const Tensor*>& inputs) {
  return binary(inputs, std::plus<double>(), std::plus<std::uint64_t>());
}
Tensor subtract(const Node&, const std::vector<const Tensor*>& inputs) {
  return binary(inputs, std::minus<double>(), std::minus<std::uint64_t>());
}
Tensor multiply(const Node&, const std::vector<const Tensor*>& inputs) {
  return binary(inputs, std::multiplies<double>(), std::multiplies<std::uint64_t>());
}
Tensor divide(const Node&, const std::vector<const Tensor*>& inputs) {
  return binary(inputs, std::divides<double>(), [](std::uint64_t a, std::uint64_t b) {
    const auto divisor = static_cast<std::int64_t>(b);
    return divisor == 0 ? 0 : static_cast<std::uint64_t>(static_cast<std::int64_t>(a) / divisor);
  });
}

Tensor identity(const Node&, const std::vector<const Tensor*>& inputs) {
  return required(inputs, 0);
}

template <double (*Function)(double)>
Tensor unary(const Node&, const std::vector<const Tensor*>& inputs) {
  Tensor result = required(inputs, 0);
  for (std::size_t i = 0; i < elementsOf(result.dims); ++i)
    storeFloat(result.type, result.data.data(), i, Function(loadFloat(result.type, result.data.data(), i)));
  return result;
}

double negative(double value) {
  return -value;
}
double magnitude(double value) {
  return std::fabs(value);
}
double positivePart(double value) {
  return value > 0 ? value : 0;
}
double squareRoot(double value) {
  return std::sqrt(value);
}
double exponential(double value) {
  return std::exp(value);
}
double sigmoid(double value) {
  return 1 / (1 + std::exp(-value));
}
double hyperbolicTangent(double value) {
  return std::tanh(value);
}

DataType castType(const Node& node) {
  return typeOfOnnx(attribute(node, "to", 0));
}

Info inferCast(const Node& node, const std::vector<const Info*>& inputs) {
  return {castType(node), required(inputs, 0).dims, {}};
}

Tensor cast(const Node& node, const std::vector<const Tensor*>& inputs) {
  const Tensor& input = required(inputs, 0);
  Tensor result = makeTensor(castType(node), input.dims);
  for (std::size_t i = 0; i < elementsOf(input.dims); ++i) {
    if (isFloat(input.type)) {
      storeFloat(result.type, result.data.data(), i, loadFloat(input.type, input.data.data(), i));
    } else {
      storeInteger(result.type, result.data.data(), i, loadInteger(input.type, input.data.data(), i));
    }
  }
  return result;
}

// Batch dimensions broadcast; matrices of two dimensions or more.
Info inferMatMul(const Node&, const std::vector<const Info*>& inputs) {
  const Info& left = required(inputs, 0);
  const Info& right = required(inputs, 1);
  if (left.dims.size() < 2 || right.dims.size() < 2) throw std::runtime_error("MatMul of vectors is not simulated");
  const std::int64_t columns = left.dims.back();
  const std::int64_t rows = right.dims[right.dims.size() - 2];
  if (columns >= 0 && rows >= 0 && columns != rows)
    throw std::runtime_error("dimensions not compatible for matrix multiply: " + textOf(left.dims) + " and " +
                             textOf(right.dims));
  Shape dims =
      broadcast(Shape(left.dims.begin(), left.dims.end() - 2), Shape(right.dims.begin(), right.dims.end() - 2));
  dims.push_back(left.dims[left.dims.size() - 2]);
  dims.push_back(right.dims.back());
  return {left.type, dims, {}};
}

Tensor matMul(const Node& node, const std::vector<const Tensor*>& inputs) {
  const Tensor& left = required(inputs, 0);
  const Tensor& right = required(inputs, 1);
  const Info leftInfo{left.type, left.dims, {}};
  const Info rightInfo{right.type, right.dims, {}};
  Tensor result = makeTensor(left.type, inferMatMul(node, {&leftInfo, &rightInfo}).dims);
  const auto rows = static_cast<std::size_t>(result.dims[result.dims.size() - 2]);
  const auto columns = static_cast<std::size_t>(result.dims.back());
  const auto inner = static_cast<std::size_t>(left.dims.back());
  const Shape batch(result.dims.begin(), result.dims.end() - 2);
  const Shape leftBatch(left.dims.begin(), left.dims.end() - 2);
  const Shape rightBatch(right.dims.begin(), right.dims.end() - 2);
  for (std::size_t i = 0; i < elementsOf(result.dims); ++i) {
    const std::size_t b = i / (rows * columns);
    const std::size_t l = (broadcastIndex(leftBatch, batch, b) * rows + i / columns % rows) * inner;
    const std::size_t r = broadcastIndex(rightBatch, batch, b) * inner * columns + i % columns;
    double sum = 0;
    for (std::size_t k = 0; k < inner; ++k)
      sum += loadFloat(left.type, left.data.data(), l + k) * loadFloat(right.type, right.data.data(), r + k * columns);
    storeFloat(result.type, result.data.data(), i, sum);
  }
  return result;
}

// alpha and beta are 1.
Info inferGemm(const Node& node, const std::vector<const Info*>& inputs) {
  const Info& left = required(inputs, 0);
  const Info& right = required(inputs, 1);
  if (left.dims.size() != 2 || right.dims.size() != 2) throw std::runtime_error("Gemm takes matrices");
  if (left.type != right.type || (inputs.size() > 2 && required(inputs, 2).type != left.type))
    throw std::runtime_error("Gemm takes inputs of one type");
  for (const char* name : {"alpha", "beta"})
    if (const auto found = node.floats.find(name); found != node.floats.end() && found->second[0] != 1)
      throw std::runtime_error("Gemm with factors is not simulated");
  const bool fromLeft = attribute(node, "transA", 0) != 0;
  const bool fromRight = attribute(node, "transB", 0) != 0;
  const std::int64_t leftInner = left.dims[fromLeft ? 0 : 1];
  const std::int64_t rightInner = right.dims[fromRight ? 1 : 0];
  if (leftInner >= 0 && rightInner >= 0 && leftInner != rightInner)
    throw std::runtime_error("dimensions not compatible for matrix multiply: " + textOf(left.dims) + " and " +
                             textOf(right.dims));
  const Shape dims{left.dims[fromLeft ? 1 : 0], right.dims[fromRight ? 0 : 1]};
  if (inputs.size() > 2 && broadcast(dims, required(inputs, 2).dims) != dims)
    throw std::runtime_error("Gemm's third input does not fit its result");
  return {left.type, dims, {}};
}

Tensor gemm(const Node& node, const std::vector<const Tensor*>& inputs) {
  const Tensor& left = required(inputs, 0);
  const Tensor& right = required(inputs, 1);
  const bool fromLeft = attribute(node, "transA", 0) != 0;
  const bool fromRight = attribute(node, "transB", 0) != 0;
  const auto size = [](const Tensor& tensor, bool second) {
    return static_cast<std::size_t>(tensor.dims[second ? 1 : 0]);
  };
  const std::size_t rows = size(left, fromLeft);
  const std::size_t inner = size(left, !fromLeft);
  const std::size_t columns = size(right, !fromRight);
  Tensor result = makeTensor(left.type, {static_cast<std::int64_t>(rows), static_cast<std::int64_t>(columns)});
  for (std::size_t i = 0; i < rows * columns; ++i) {
    const std::size_t row = i / columns;
    const std::size_t column = i % columns;
    double sum = 0;
    for (std::size_t k = 0; k < inner; ++k)
      sum += loadFloat(left.type, left.data.data(), fromLeft ? k * rows + row : row * inner + k) *
             loadFloat(right.type, right.data.data(), fromRight ? column * inner + k : k * columns + column);
    if (inputs.size() > 2) {
      const Tensor& bias = *inputs[2];
      sum += loadFloat(bias.type, bias.data.data(), broadcastIndex(bias.dims, result.dims, i));
    }
    storeFloat(result.type, result.data.data(), i, sum);
  }
  return result;
}

// Elements of `to` that come from `from`, by the index in each dimension.
template <typename Source>
void gather(const Tensor& from, Tensor& to, Source source) {
  const std::size_t bytes = sizeOf(from.type);
  std::vector<std::size_t> at(to.dims.size());
  for (std::size_t i = 0; i < elementsOf(to.dims); ++i) {
    std::size_t rest = i;
    for (std::size_t d = at.size(); d-- > 0; rest /= static_cast<std::size_t>(to.dims[d]))
      at[d] = rest % static_cast<std::size_t>(to.dims[d]);
    std::memcpy(&to.data[i * bytes], &from.data[source(at) * bytes], bytes);
  }
}

std::size_t offsetIn(const Shape& dims, const std::vector<std::size_t>& at) {
  std::size_t offset = 0;
  for (std::size_t d = 0; d < dims.size(); ++d) offset = offset * static_cast<std::size_t>(dims[d]) + at[d];
  return offset;
}

std::vector<std::size_t> permutation(const Node& node, std::size_t rank) {
  std::vector<std::size_t> result;
  if (const auto found = node.integers.find("perm"); found != node.integers.end()) {
    for (const std::int64_t each : found->second) result.push_back(static_cast<std::size_t>(each));
  } else {
    for (std::size_t i = rank; i-- > 0;) result.push_back(i);
  }
  if (result.size() != rank) throw std::runtime_error("Transpose: perm is of another rank");
  return result;
}

Info inferTranspose(const Node& node, const std::vector<const Info*>& inputs) {
  const Info& input = required(inputs, 0);
  Shape dims;
  for (const std::size_t each : permutation(node, input.dims.size())) dims.push_back(input.dims.at(each));
  return {input.type, dims, {}};
}

Tensor transpose(const Node& node, const std::vector<const Tensor*>& inputs) {
  const Tensor& input = required(inputs, 0);
  const Info info{input.type, input.dims, {}};
  Tensor result = makeTensor(input.type, inferTranspose(node, {&info}).dims);
  const auto order = permutation(node, input.dims.size());
  gather(input, result, [&](const std::vector<std::size_t>& at) {
    std::vector<std::size_t> from(at.size());
    for (std::size_t d = 0; d < at.size(); ++d) from[order[d]] = at[d];
    return offsetIn(input.dims, from);
  });
  return result;
}

// Where a slice of one dimension begins and how long it is.
struct Piece {
  std::size_t axis;
  std::int64_t begin;
  std::int64_t size;
};

template <typename Value>
Piece pieceOf(const std::vector<const Value*>& inputs, const Shape& dims,
              std::int64_t (*numberOf)(const Value& value)) {
  if (inputs.size() != 4) throw std::runtime_error("a Slice without axes, or with steps, is not simulated");
  const std::int64_t wanted = numberOf(required(inputs, 3));
  const auto axis = static_cast<std::size_t>(wanted < 0 ? wanted + static_cast<std::int64_t>(dims.size()) : wanted);
  const std::int64_t size = dims.at(axis);
  if (size < 0) throw std::runtime_error("a Slice of a dimension that is not known is not simulated");
  const auto bounded = [&](std::int64_t index) {
    return std::clamp<std::int64_t>(index < 0 ? index + size : index, 0, size);
  };
  const std::int64_t begin = bounded(numberOf(required(inputs, 1)));
  return {axis, begin, std::max<std::int64_t>(bounded(numberOf(required(inputs, 2))) - begin, 0)};
}

std::int64_t onlyNumber(const Tensor& tensor) {
  const auto numbers = integersOf(tensor);
  if (numbers.size() != 1) throw std::runtime_error("a Slice of several dimensions is not simulated");
  return numbers[0];
}

std::int64_t onlyNumber(const Info& info) {
  if (!info.value) throw std::runtime_error("a Slice by values that are not known is not simulated");
  return onlyNumber(*info.value);
}

Info inferSlice(const Node&, const std::vector<const Info*>& inputs) {
  const Info& data = required(inputs, 0);
  const Piece piece = pieceOf<Info>(inputs, data.dims, onlyNumber);
  Shape dims = data.dims;
  dims[piece.axis] = piece.size;
  return {data.type, dims, {}};
}

Tensor slice(const Node&, const std::vector<const Tensor*>& inputs) {
  const Tensor& data = required(inputs, 0);
  const Piece piece = pieceOf<Tensor>(inputs, data.dims, onlyNumber);
  Shape dims = data.dims;
  dims[piece.axis] = piece.size;
  Tensor result = makeTensor(data.type, dims);
  gather(data, result, [&](std::vector<std::size_t> at) {
    at[piece.axis] += static_cast<std::size_t>(piece.begin);
    return offsetIn(data.dims, at);
  });
  return result;
}

std::size_t concatAxis(const Node& node, const Shape& dims) {
  const std::int64_t axis = attribute(node, "axis", 0);
  return static_cast<std::size_t>(axis < 0 ? axis + static_cast<std::int64_t>(dims.size()) : axis);
}

Info inferConcat(const Node& node, const std::vector<const Info*>& inputs) {
  Info result{required(inputs, 0).type, required(inputs, 0).dims, {}};
  const std::size_t axis = concatAxis(node, result.dims);
  for (std::size_t i = 1; i < inputs.size(); ++i) {
    const Info& input = required(inputs, i);
    if (input.type != result.type || input.dims.size() != result.dims.size())
      throw std::runtime_error("Concat takes inputs of one type and rank");
    std::int64_t& size = result.dims.at(axis);
    size = size < 0 || input.dims[axis] < 0 ? -1 : size + input.dims[axis];
  }
  return result;
}

Tensor concat(const Node& node, const std::vector<const Tensor*>& inputs) {
  const std::size_t axis = concatAxis(node, required(inputs, 0).dims);
  Shape dims = required(inputs, 0).dims;
  for (std::size_t i = 1; i < inputs.size(); ++i) dims.at(axis) += inputs[i]->dims.at(axis);
  Tensor result = makeTensor(inputs[0]->type, dims);
  const std::size_t before = elementsOf(Shape(dims.begin(), dims.begin() + static_cast<std::ptrdiff_t>(axis)));
  std::byte* to = result.data.data();
  for (std::size_t row = 0; row < before; ++row)
    for (const Tensor* each : inputs) {
      const std::size_t bytes = each->data.size() / std::max<std::size_t>(before, 1);
      if (bytes > 0) std::memcpy(to, &each->data[row * bytes], bytes);
      to += bytes;
    }
  return result;
}

Info inferNonZero(const Node&, const std::vector<const Info*>& inputs) {
  return {DataType::kINT64, {static_cast<std::int64_t>(required(inputs, 0).dims.size()), -1}, {}};
}

Tensor nonZero(const Node&, const std::vector<const Tensor*>& inputs) {
  const Tensor& input = required(inputs, 0);
  std::vector<std::size_t> found;
  for (std::size_t i = 0; i < elementsOf(input.dims); ++i)
    if (loadFloat(input.type, input.data.data(), i) != 0) found.push_back(i);
  const std::size_t rank = input.dims.size();
  Tensor result =
      makeTensor(DataType::kINT64, {static_cast<std::int64_t>(rank), static_cast<std::int64_t>(found.size())});
  for (std::size_t i = 0; i < found.size(); ++i) {
    std::size_t rest = found[i];
    for (std::size_t d = rank; d-- > 0; rest /= static_cast<std::size_t>(input.dims[d]))
      storeInteger(DataType::kINT64, result.data.data(), d * found.size() + i,
                   static_cast<std::int64_t>(rest % static_cast<std::size_t>(input.dims[d])));
  }
  return result;
}

Tensor shapeTensor(const Shape& dims) {
  Tensor result = makeTensor(DataType::kINT64, {static_cast<std::int64_t>(dims.size())});
  for (std::size_t i = 0; i < dims.size(); ++i) storeInteger(DataType::kINT64, result.data.data(), i, dims[i]);
  return result;
}

Info inferShape(const Node&, const std::vector<const Info*>& inputs) {
  const Shape& dims = required(inputs, 0).dims;
  Info info{DataType::kINT64, {static_cast<std::int64_t>(dims.size())}, {}};
  if (isKnown(dims)) info.value = shapeTensor(dims);
  return info;
}

Tensor shape(const Node&, const std::vector<const Tensor*>& inputs) {
  return shapeTensor(required(inputs, 0).dims);
}

// How many dimensions a shape that is not known yet stands for.
std::size_t rankOf(const Info& shape) {
  if (shape.dims.size() != 1 || shape.dims[0] < 0) throw std::runtime_error("a shape must be a vector of known length");
  return static_cast<std::size_t>(shape.dims[0]);
}

Shape reshaped(const Shape& from, std::vector<std::int64_t> to, bool keepZero) {
  std::int64_t known = 1;
  auto rest = to.end();
  for (auto each = to.begin(); each != to.end(); ++each) {
    const auto at = static_cast<std::size_t>(each - to.begin());
    if (*each == 0 && !keepZero) *each = at < from.size() ? from[at] : 0;
    if (*each < 0) {
      rest = each;
    } else {
      known *= *each;
    }
  }
  if (!isKnown(from)) return to;
  const auto elements = static_cast<std::int64_t>(elementsOf(from));
  if (rest != to.end() && known > 0) *rest = elements / known;
  if (static_cast<std::int64_t>(elementsOf(to)) != elements)
    throw std::runtime_error("reshape would change volume: " + textOf(from) + " to " + textOf(to));
  return to;
}

Info inferReshape(const Node& node, const std::vector<const Info*>& inputs) {
  const Info& data = required(inputs, 0);
  const Info& wanted = required(inputs, 1);
  if (!wanted.value) return {data.type, Shape(rankOf(wanted), -1), {}};
  return {data.type, reshaped(data.dims, integersOf(*wanted.value), attribute(node, "allowzero", 0) != 0), {}};
}

Tensor reshape(const Node& node, const std::vector<const Tensor*>& inputs) {
  Tensor result = required(inputs, 0);
  result.dims = reshaped(result.dims, integersOf(required(inputs, 1)), attribute(node, "allowzero", 0) != 0);
  return result;
}

Info inferExpand(const Node&, const std::vector<const Info*>& inputs) {
  const Info& data = required(inputs, 0);
  const Info& wanted = required(inputs, 1);
  if (!wanted.value) return {data.type, Shape(std::max(rankOf(wanted), data.dims.size()), -1), {}};
  return {data.type, broadcast(data.dims, integersOf(*wanted.value)), {}};
}

Tensor expand(const Node&, const std::vector<const Tensor*>& inputs) {
  const Tensor& data = required(inputs, 0);
  Tensor result = makeTensor(data.type, broadcast(data.dims, integersOf(required(inputs, 1))));
  const std::size_t bytes = sizeOf(data.type);
  for (std::size_t i = 0; i < elementsOf(result.dims); ++i)
    std::memcpy(&result.data[i * bytes], &data.data[broadcastIndex(data.dims, result.dims, i) * bytes], bytes);
  return result;
}

const Tensor& constantOf(const Node& node) {
  const auto found = node.tensors.find("value");
  if (found == node.tensors.end()) throw std::runtime_error("a Constant that is no tensor is not simulated");
  return found->second;
}

Info inferConstant(const Node& node, const std::vector<const Info*>&) {
  const Tensor& value = constantOf(node);
  return {value.type, value.dims, value};
}

Tensor constant(const Node& node, const std::vector<const Tensor*>&) {
  return constantOf(node);
}

constexpr std::array operators{
    Operator{"Identity", LayerType::kIDENTITY, sameAsFirst, identity},
    Operator{"Neg", LayerType::kUNARY, sameAsFirst, unary<negative>},
    Operator{"Abs", LayerType::kUNARY, sameAsFirst, unary<magnitude>},
    Operator{"Sqrt", LayerType::kUNARY, sameAsFirst, unary<squareRoot>},
    Operator{"Exp", LayerType::kUNARY, sameAsFirst, unary<exponential>},
    Operator{"Relu", LayerType::kACTIVATION, sameAsFirst, unary<positivePart>},
    Operator{"Sigmoid", LayerType::kACTIVATION, sameAsFirst, unary<sigmoid>},
    Operator{"Tanh", LayerType::kACTIVATION, sameAsFirst, unary<hyperbolicTangent>},
    Operator{"Add", LayerType::kELEMENTWISE, inferBinary, add},
    Operator{"Sub", LayerType::kELEMENTWISE, inferBinary, subtract},
    Operator{"Mul", LayerType::kELEMENTWISE, inferBinary, multiply},
    Operator{"Div", LayerType::kELEMENTWISE, inferBinary, divide},
    Operator{"Cast", LayerType::kCAST, inferCast, cast},
    Operator{"MatMul", LayerType::kMATRIX_MULTIPLY, inferMatMul, matMul},
    Operator{"Gemm", LayerType::kMATRIX_MULTIPLY, inferGemm, gemm},
    Operator{"Transpose", LayerType::kSHUFFLE, inferTranspose, transpose},
    Operator{"Slice", LayerType::kSLICE, inferSlice, slice},
    Operator{"Concat", LayerType::kCONCATENATION, inferConcat, concat},
    Operator{"NonZero", LayerType::kNON_ZERO, inferNonZero, nonZero},
    Operator{"Shape", LayerType::kSHAPE, inferShape, shape},
    Operator{"Reshape", LayerType::kSHUFFLE, inferReshape, reshape},
    Operator{"Expand", LayerType::kSLICE, inferExpand, expand},
    Operator{"Constant", LayerType::kCONSTANT, inferConstant, constant},
};

}  // namespace

const Operator* findOperator(const std::string& name) {
  for (const Operator& each : operators)
    if (each.name == std::string_view(name)) return &each;
  return nullptr;
}

}  // namespace simulated_tensorrt
