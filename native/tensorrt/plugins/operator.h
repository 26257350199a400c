// What an operator of a lowered decoder is: its tensors, their sizes, and the kernel that computes it. Plugin makes
// a TensorRT plugin of it.
#pragma once

#include <NvInferRuntime.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "../../kernels/launch.h"
#include "fields.h"

namespace tensorrt_node::tensorrt::plugins {

// Of a tensor's elements. `hidden` is float16 or bfloat16, the same for all of an operator: the type of those of its
// inputs that are hidden; without such it must say which.
enum class Element { hidden, float16, bfloat16, float32, int32, int64 };

struct Signature {
  std::vector<Element> inputs;
  std::vector<Element> outputs;
};

// The shapes of all inputs and outputs.
struct Shapes {
  std::span<const nvinfer1::Dims> inputs;
  std::span<const nvinfer1::Dims> outputs;
};

// One execution. `workspace` has the bytes that workspaceBytes() asked for.
struct Launch {
  const kernels::Kernels& kernels;
  CUstream stream;
  kernels::ElementType type;
  Shapes shapes;
  const void* const* inputs;
  void* const* outputs;
  void* workspace;

  std::int32_t input(std::size_t index, int dimension) const {
    return static_cast<std::int32_t>(shapes.inputs[index].d[dimension]);
  }
  template <typename Type>
  const Type* in(std::size_t index) const {
    return static_cast<const Type*>(inputs[index]);
  }
};

class Operator {
 public:
  virtual ~Operator() = default;

  virtual const char* name() const noexcept = 0;
  virtual std::unique_ptr<Operator> clone() const = 0;
  virtual void save(SavedFields& fields) const = 0;
  virtual int outputs() const noexcept { return 1; }

  // For this many inputs. Throws std::invalid_argument for a number that it does not take.
  virtual Signature signature(std::size_t inputs) const = 0;
  virtual std::vector<nvinfer1::DimsExprs> outputShapes(std::span<const nvinfer1::DimsExprs> inputs,
                                                        nvinfer1::IExprBuilder& builder) const = 0;
  // Throws std::invalid_argument for shapes that do not belong together. Called before every execution for which
  // shapes or addresses were set, so quick.
  virtual void check(const Shapes& shapes) const = 0;

  // Enough for all smaller inputs as well.
  virtual std::size_t workspaceBytes(std::span<const nvinfer1::Dims>) const { return 0; }
  // Called of a clone that is an execution context's own, before the first enqueue().
  virtual void attach(const std::shared_ptr<const kernels::Kernels>&) {}
  // Queues the work. Safe while the stream is captured. Throws as launchers do.
  virtual void enqueue(const Launch& launch) const = 0;

 protected:
  Operator() = default;
  Operator(const Operator&) = default;
  Operator& operator=(const Operator&) = default;
};

// An operator and what makes it of its attributes, by which its creator is found.
struct OperatorType {
  const char* name;
  // Attributes that the parser hands on.
  std::vector<nvinfer1::PluginField> attributes;
  std::unique_ptr<Operator> (*make)(const Fields& fields);
};

// For make(): the operator of a struct that is constructed from its fields.
template <typename Type>
std::unique_ptr<Operator> makeOperator(const Fields& fields) {
  return std::make_unique<Type>(fields);
}

}  // namespace tensorrt_node::tensorrt::plugins
