// Sizes of a plugin's outputs, as they depend on the sizes of its inputs: kept in plans, as the plugin's build
// interface, which tells them, is not there at run time.
#pragma once

#include <NvInferRuntime.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "archive.h"
#include "tensor_data.h"

namespace simulated_tensorrt {

struct Expression {
  enum class Kind : std::int32_t { constant, input, operation };
  Kind kind = Kind::constant;
  std::int64_t value = 0;
  // Of an input: which one, and which of its dimensions.
  std::int32_t tensor = 0;
  std::int32_t dimension = 0;
  nvinfer1::DimensionOperation operation = nvinfer1::DimensionOperation::kSUM;
  std::shared_ptr<const Expression> first;
  std::shared_ptr<const Expression> second;

  // -1 where it depends on sizes that are not known.
  std::int64_t evaluate(const std::vector<Shape>& inputs) const;
};
using SharedExpression = std::shared_ptr<const Expression>;

void putExpression(Writer& to, const Expression& expression);
// Throws std::runtime_error.
SharedExpression getExpression(Reader& from);

class DimensionExpression final : public nvinfer1::IDimensionExpr, public nvinfer1::apiv::VDimensionExpr {
 public:
  explicit DimensionExpression(SharedExpression expression) : expression_(std::move(expression)) { mImpl = this; }

  const SharedExpression& expression() const { return expression_; }
  bool isConstant() const override { return expression_->kind == Expression::Kind::constant; }
  int64_t getConstantValue() const override { return isConstant() ? expression_->value : -1; }
  bool isSizeTensor() const override { return false; }

 private:
  const SharedExpression expression_;
};

// Owns the expressions that a plugin makes.
class ExpressionBuilder final : public nvinfer1::IExprBuilder, public nvinfer1::apiv::VExprBuilder {
 public:
  ExpressionBuilder() { mImpl = this; }

  // The sizes of an input.
  nvinfer1::DimsExprs ofInput(std::int32_t tensor, const Shape& dims);

  nvinfer1::IDimensionExpr const* constant(int64_t value) override;
  nvinfer1::IDimensionExpr const* operation(nvinfer1::DimensionOperation operation,
                                            nvinfer1::IDimensionExpr const& first,
                                            nvinfer1::IDimensionExpr const& second) override;
  // Ends the process: outputs whose size a plugin computes are not simulated.
  nvinfer1::IDimensionExpr const* declareSizeTensor(int32_t output, nvinfer1::IDimensionExpr const& opt,
                                                    nvinfer1::IDimensionExpr const& upper) override;

 private:
  const DimensionExpression* keep(Expression expression);

  std::deque<DimensionExpression> made_;
};

}  // namespace simulated_tensorrt
