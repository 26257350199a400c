#include "bound_execution.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <thread>

#include "../cuda/driver.h"
#include "error.h"

namespace tensorrt_node::tensorrt {
namespace {

using Clock = std::chrono::steady_clock;

// Longer waits give the core away.
constexpr auto kSpin = std::chrono::milliseconds(2);
constexpr auto kSleep = std::chrono::microseconds(20);

template <typename Integer>
void writeValues(std::span<std::byte> to, const std::vector<std::int64_t>& values) {
  for (std::size_t i = 0; i < values.size() && (i + 1) * sizeof(Integer) <= to.size(); ++i) {
    const auto value = static_cast<Integer>(values[i]);
    std::memcpy(to.data() + i * sizeof(Integer), &value, sizeof value);
  }
}

using Values = std::vector<std::int64_t> Range::*;

// Zeros, or for an input that holds a shape the minimum, optimum or maximum of the first profile.
void initialise(const TensorInfo& tensor, std::span<std::byte> bytes, Values which) {
  cuda::noteHostAccess(bytes.data(), bytes.size(), true);
  if (!bytes.empty()) std::memset(bytes.data(), 0, bytes.size());
  if (tensor.profiles.empty() || !tensor.profiles.front().values) return;
  const std::vector<std::int64_t>& values = (*tensor.profiles.front().values).*which;
  if (tensor.type == nvinfer1::DataType::kINT64) {
    writeValues<std::int64_t>(bytes, values);
  } else if (tensor.type == nvinfer1::DataType::kINT32) {
    writeValues<std::int32_t>(bytes, values);
  }
}

}  // namespace

BoundExecution::BoundExecution(std::shared_ptr<const Engine> shared, const std::vector<Shape>& dims,
                               BindOptions options, const std::string& name)
    : execution_(std::move(shared), name), dims_(dims) {
  cuda::PinnedPool& pinned = *engine().memory().pinned;
  if (dims_.size() != engine().inputs().size())
    throw std::invalid_argument("the engine has " + std::to_string(engine().inputs().size()) +
                                " inputs, got shapes of " + std::to_string(dims_.size()));
  for (std::size_t i = 0; i < dims_.size(); ++i) {
    const std::size_t bytes = tensorBytes(engine().inputs()[i].type, dims_[i]);
    inputs_.push_back(std::make_shared<cuda::PinnedBlock>(pinned.allocate(bytes)));
    views_.push_back({dims_[i], inputs_.back()->bytes()});
  }
  const std::vector<std::size_t> largest = largestOutputs();
  fillInputs(&Range::opt);
  execution_.prepare(views_);
  for (std::size_t i = 0; i < engine().outputs().size(); ++i) {
    const std::size_t bytes = fixed(i) ? execution_.outputBytes(i) : std::max(execution_.maxOutputBytes(i), largest[i]);
    outputs_.push_back(std::make_shared<cuda::PinnedBlock>(pinned.allocate(bytes)));
    outputDims_.push_back(execution_.outputDims(i));
  }
  const auto& context = execution_.stream().context();
  if (options.timing)
    timing_.emplace(Timing{cuda::Event(context, {.timing = true}), cuda::Event(context, {.timing = true})});
  try {
    warmUp(options.graph);
    // What zeros gave says nothing.
    for (std::size_t i = 0; i < outputs_.size(); ++i)
      if (!fixed(i)) outputDims_[i] = engine().outputs()[i].dims;
  } catch (...) {
    // The destructor will not be called.
    execution_.drain();
    throw;
  }
}

BoundExecution::~BoundExecution() {
  execution_.drain();
}

void BoundExecution::fillInputs(std::vector<std::int64_t> Range::*values) {
  for (std::size_t i = 0; i < inputs_.size(); ++i) initialise(engine().inputs()[i], inputs_[i]->bytes(), values);
}

// Outputs' bytes where inputs that hold shapes hold the largest ones; 0 where those fit nothing together.
std::vector<std::size_t> BoundExecution::largestOutputs() {
  std::vector<std::size_t> largest(engine().outputs().size());
  if (!hasHostInput()) return largest;
  fillInputs(&Range::max);
  try {
    execution_.prepare(views_);
    for (std::size_t i = 0; i < largest.size(); ++i) largest[i] = execution_.maxOutputBytes(i);
  } catch (const TensorrtError&) {
    return largest;
  }
  return largest;
}

bool BoundExecution::hasHostInput() const noexcept {
  const auto& inputs = engine().inputs();
  return std::any_of(inputs.begin(), inputs.end(), [](const TensorInfo& tensor) { return tensor.host; });
}

bool BoundExecution::fixed(std::size_t output) const noexcept {
  return !execution_.outputDependsOnData(output) && !engine().outputs()[output].host && !hasHostInput();
}

// TensorRT does some of its work at the first run, none of which can be recorded.
void BoundExecution::warmUp(bool graph) {
  launch();
  wait();
  if (!graph || execution_.needsHost()) return;
  try {
    record();
  } catch (const cuda::CudaError&) {
    graph_.reset();
  } catch (const TensorrtError&) {
    graph_.reset();
  }
  // Brings the graph to the device; or shows that the engine still runs without one.
  launch();
  wait();
}

void BoundExecution::record() {
  const std::uint64_t refits = engine().refits();
  graph_ = cuda::Graph::capture(execution_.stream(), [this] { queue(); });
  // Not before: a graph of the weights before must not pass for one of these.
  refits_ = refits;
}

void BoundExecution::queue() {
  if (execution_.needsHost()) execution_.prepare(views_);
  execution_.copyInputs(views_);
  execution_.enqueue();
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    outputDims_[i] = execution_.outputDims(i);
    const std::size_t bytes = execution_.outputBytes(i);
    if (bytes > outputs_[i]->size())
      throw TensorrtError("enqueueV3", "output '" + engine().outputs()[i].name + "' of shape " +
                                           shapeText(outputDims_[i]) + " is larger than TensorRT said it can be");
    execution_.copyOutput(i, outputs_[i]->bytes().first(bytes));
  }
}

void BoundExecution::launch() {
  const cuda::Current current(*execution_.stream().context());
  for (const auto& input : inputs_) cuda::noteHostAccess(input->data(), input->size(), true);
  measured_ = false;
  try {
    if (graph_ && refits_ != engine().refits()) [[unlikely]]
      record();
    if (timing_) execution_.stream().record(timing_->start);
    if (graph_) {
      graph_->launch(execution_.stream());
    } else {
      queue();
    }
    if (timing_) execution_.stream().record(timing_->end);
  } catch (...) {
    // Part of it may be queued. What the stream itself failed with says more than a call that was refused for it.
    execution_.stream().synchronize();
    throw;
  }
}

bool BoundExecution::over() {
  try {
    return execution_.stream().idle();
  } catch (...) {
    // Nothing may touch the memory any more when the caller gets it back.
    execution_.drain();
    throw;
  }
}

void BoundExecution::finish() {
  measured_ = timing_.has_value();
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    if (engine().outputs()[i].host) execution_.readHostOutput(i, outputs_[i]->bytes().first(execution_.outputBytes(i)));
    cuda::noteHostAccess(outputs_[i]->data(), outputs_[i]->size(), false);
  }
}

void BoundExecution::wait() {
  const cuda::Current current(*execution_.stream().context());
  const auto start = Clock::now();
  while (!over())
    if (Clock::now() - start > kSpin) std::this_thread::sleep_for(kSleep);
  finish();
}

float BoundExecution::gpuMilliseconds() const {
  if (!timing_) throw UnsupportedError("the binding measures no time", "bind with timing");
  return measured_ ? timing_->end.millisecondsSince(timing_->start) : 0;
}

}  // namespace tensorrt_node::tensorrt
