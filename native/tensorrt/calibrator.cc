#include "calibrator.h"

#include <cstring>
#include <exception>
#include <span>
#include <string_view>
#include <utility>

#include "../cuda/copy.h"
#include "../cuda/driver.h"
#include "../files/whole_file.h"
#include "error.h"

// Superseded by explicit quantization in 10.1, and there until major 11.
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

namespace tensorrt_node::tensorrt {
namespace {

constexpr const char* kCall = "IInt8Calibrator::getBatch";

template <typename Interface>
class Calibrator final : public Interface {
 public:
  explicit Calibrator(CalibrationFeed& feed) noexcept : feed_(feed) {}

  std::int32_t getBatchSize() const noexcept override { return feed_.batchSize(); }
  bool getBatch(void* bindings[], const char* names[], std::int32_t count) noexcept override {
    return feed_.getBatch(bindings, names, count);
  }
  const void* readCalibrationCache(std::size_t& length) noexcept override { return feed_.readCache(length); }
  void writeCalibrationCache(const void* bytes, std::size_t length) noexcept override {
    feed_.writeCache(bytes, length);
  }

 private:
  CalibrationFeed& feed_;
};

}  // namespace

CalibrationFeed::CalibrationFeed(const CalibrationRequest& request, std::vector<CalibrationInput> inputs,
                                 std::shared_ptr<const cuda::Context> context, BuildListener& listener,
                                 BuildControl& control)
    : request_(request),
      stream_(context, "calibration"),
      pinned_(context),
      device_(std::move(context)),
      listener_(listener),
      control_(control) {
  for (CalibrationInput& input : inputs) {
    const std::size_t bytes = tensorBytes(input.type, input.dims);
    slots_.push_back({std::move(input), bytes, {}, {}});
  }
  if (request_.cache) cache_ = files::readIfThere(*request_.cache);
}

bool CalibrationFeed::getBatch(void* bindings[], const char* names[], std::int32_t count) noexcept {
  try {
    return copyBatch(bindings, names, count);
  } catch (...) {
    control_.fail(std::current_exception());
    return false;
  }
}

bool CalibrationFeed::copyBatch(void* bindings[], const char* names[], std::int32_t count) {
  if (control_.stopped()) return false;
  listener_.batchWanted();
  const std::optional<Batch> batch = control_.nextBatch();
  if (!batch) {
    if (batches_ == 0 && !control_.stopped())
      throw TensorrtError(kCall, "there is no batch to calibrate with", "give calibration at least one batch");
    return false;
  }
  ++batches_;
  for (std::int32_t i = 0; i < count; ++i) {
    Slot& each = slot(names[i]);
    const BatchTensor& tensor = checked(*batch, each);
    if (!each.device) {
      each.host = pinned_.allocate(each.bytes);
      each.device = device_.allocate(each.bytes, stream_);
    }
    cuda::noteHostAccess(each.host.data(), each.bytes, true);
    std::memcpy(each.host.data(), tensor.bytes.data(), each.bytes);
    cuda::copyToDevice(stream_, each.device, 0, each.host, 0, each.bytes);
    bindings[i] = reinterpret_cast<void*>(each.device.address());
  }
  // TensorRT reads on streams of its own.
  stream_.synchronize();
  return true;
}

CalibrationFeed::Slot& CalibrationFeed::slot(const char* name) {
  for (Slot& each : slots_)
    if (each.input.name == name) return each;
  throw TensorrtError(kCall,
                      std::string("TensorRT calibrates an input that the network does not have: '") + name + "'");
}

const BatchTensor& CalibrationFeed::checked(const Batch& batch, const Slot& slot) const {
  const std::string place = "calibration batch " + std::to_string(batches_) + ": input '" + slot.input.name + "'";
  const auto found = batch.find(slot.input.name);
  if (found == batch.end()) throw TensorrtError(kCall, place + " is missing");
  const BatchTensor& tensor = found->second;
  if (tensor.dims != slot.input.dims)
    throw TensorrtError(kCall,
                        place + " has the shape " + shapeText(tensor.dims) + ", expected " + shapeText(slot.input.dims),
                        "batches have the first profile's opt shape, with the batch size in front");
  if (tensor.bytes.size() != slot.bytes)
    throw TensorrtError(kCall, place + " has " + std::to_string(tensor.bytes.size()) + " bytes, expected " +
                                   std::to_string(slot.bytes));
  return tensor;
}

const void* CalibrationFeed::readCache(std::size_t& length) const noexcept {
  length = cache_ ? cache_->size() : 0;
  return length == 0 ? nullptr : cache_->data();
}

void CalibrationFeed::writeCache(const void* bytes, std::size_t length) noexcept {
  if (!request_.cacheOut) return;
  try {
    files::replace(*request_.cacheOut, {static_cast<const std::byte*>(bytes), length});
  } catch (...) {
    control_.fail(std::current_exception());
  }
}

std::unique_ptr<nvinfer1::IInt8Calibrator> makeCalibrator(bool minMax, CalibrationFeed& feed) {
  if (minMax) return std::make_unique<Calibrator<nvinfer1::IInt8MinMaxCalibrator>>(feed);
  return std::make_unique<Calibrator<nvinfer1::IInt8EntropyCalibrator2>>(feed);
}

}  // namespace tensorrt_node::tensorrt
