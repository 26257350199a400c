#include "expression.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "not_simulated.h"

namespace simulated_tensorrt {

namespace {

using nvinfer1::DimensionOperation;

std::int64_t floorDivide(std::int64_t left, std::int64_t right) {
  if (right == 0) throw std::runtime_error("a dimension is divided by zero");
  const std::int64_t quotient = left / right;
  return left % right != 0 && (left < 0) != (right < 0) ? quotient - 1 : quotient;
}

std::int64_t apply(DimensionOperation operation, std::int64_t left, std::int64_t right) {
  switch (operation) {
    case DimensionOperation::kSUM:
      return left + right;
    case DimensionOperation::kPROD:
      return left * right;
    case DimensionOperation::kMAX:
      return std::max(left, right);
    case DimensionOperation::kMIN:
      return std::min(left, right);
    case DimensionOperation::kSUB:
      return left - right;
    case DimensionOperation::kEQUAL:
      return left == right ? 1 : 0;
    case DimensionOperation::kLESS:
      return left < right ? 1 : 0;
    case DimensionOperation::kFLOOR_DIV:
      return floorDivide(left, right);
    case DimensionOperation::kCEIL_DIV:
      return -floorDivide(-left, right);
  }
  throw std::runtime_error("an unknown operation on dimensions");
}

}  // namespace

std::int64_t Expression::evaluate(const std::vector<Shape>& inputs) const {
  if (kind == Kind::constant) return value;
  if (kind == Kind::input) return inputs.at(static_cast<std::size_t>(tensor)).at(static_cast<std::size_t>(dimension));
  const std::int64_t left = first->evaluate(inputs);
  const std::int64_t right = second->evaluate(inputs);
  return left < 0 || right < 0 ? -1 : apply(operation, left, right);
}

void putExpression(Writer& to, const Expression& expression) {
  to.put(expression.kind);
  to.put(expression.value);
  to.put(expression.tensor);
  to.put(expression.dimension);
  to.put(expression.operation);
  if (expression.kind != Expression::Kind::operation) return;
  putExpression(to, *expression.first);
  putExpression(to, *expression.second);
}

SharedExpression getExpression(Reader& from) {
  Expression expression;
  expression.kind = from.get<Expression::Kind>();
  expression.value = from.get<std::int64_t>();
  expression.tensor = from.get<std::int32_t>();
  expression.dimension = from.get<std::int32_t>();
  expression.operation = from.get<DimensionOperation>();
  if (expression.kind == Expression::Kind::operation) {
    expression.first = getExpression(from);
    expression.second = getExpression(from);
  }
  return std::make_shared<const Expression>(std::move(expression));
}

const DimensionExpression* ExpressionBuilder::keep(Expression expression) {
  return &made_.emplace_back(std::make_shared<const Expression>(std::move(expression)));
}

nvinfer1::DimsExprs ExpressionBuilder::ofInput(std::int32_t tensor, const Shape& dims) {
  nvinfer1::DimsExprs result{};
  result.nbDims = static_cast<std::int32_t>(dims.size());
  for (std::int32_t i = 0; i < result.nbDims; ++i) {
    const std::int64_t size = dims[static_cast<std::size_t>(i)];
    Expression expression;
    expression.kind = size < 0 ? Expression::Kind::input : Expression::Kind::constant;
    expression.value = size;
    expression.tensor = tensor;
    expression.dimension = i;
    result.d[i] = keep(std::move(expression));
  }
  return result;
}

nvinfer1::IDimensionExpr const* ExpressionBuilder::constant(int64_t value) {
  Expression expression;
  expression.value = value;
  return keep(std::move(expression));
}

nvinfer1::IDimensionExpr const* ExpressionBuilder::operation(DimensionOperation operation,
                                                             nvinfer1::IDimensionExpr const& first,
                                                             nvinfer1::IDimensionExpr const& second) {
  Expression expression;
  expression.kind = Expression::Kind::operation;
  expression.operation = operation;
  expression.first = static_cast<const DimensionExpression&>(first).expression();
  expression.second = static_cast<const DimensionExpression&>(second).expression();
  // As TensorRT does: what is known is a constant.
  if (expression.first->kind == Expression::Kind::constant && expression.second->kind == Expression::Kind::constant)
    return constant(apply(operation, expression.first->value, expression.second->value));
  return keep(std::move(expression));
}

nvinfer1::IDimensionExpr const* ExpressionBuilder::declareSizeTensor(int32_t, nvinfer1::IDimensionExpr const&,
                                                                     nvinfer1::IDimensionExpr const&) {
  notSimulated("IExprBuilder", "declareSizeTensor");
}

}  // namespace simulated_tensorrt
