// INT8 calibration: TensorRT asks for batches, the caller of the build provides them.
#pragma once

#include <NvInfer.h>

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "../cuda/device_pool.h"
#include "../cuda/pinned_pool.h"
#include "../cuda/stream.h"
#include "build_control.h"
#include "build_request.h"
#include "progress_monitor.h"

// Superseded by explicit quantization in 10.1, and there until major 11.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

namespace tensorrt_node::tensorrt {

// An input of the network, as batches have to bring it.
struct CalibrationInput {
  std::string name;
  nvinfer1::DataType type;
  Shape dims;
};

// What both algorithms share. Its functions are called by TensorRT on the thread of the build and do not throw: what
// goes wrong ends the build by way of `control`.
class CalibrationFeed {
 public:
  // Reads the calibration cache, if there is one. Throws FileError and CudaError.
  CalibrationFeed(const CalibrationRequest& request, std::vector<CalibrationInput> inputs,
                  std::shared_ptr<const cuda::Context> context, BuildListener& listener, BuildControl& control);

  std::int32_t batchSize() const noexcept { return static_cast<std::int32_t>(request_.batchSize); }
  bool getBatch(void* bindings[], const char* names[], std::int32_t count) noexcept;
  const void* readCache(std::size_t& length) const noexcept;
  void writeCache(const void* bytes, std::size_t length) noexcept;

 private:
  struct Slot {
    CalibrationInput input;
    std::size_t bytes;
    // Made with the first batch: with a calibration cache there is none.
    cuda::PinnedBlock host;
    cuda::DeviceBlock device;
  };
  bool copyBatch(void* bindings[], const char* names[], std::int32_t count);
  Slot& slot(const char* name);
  const BatchTensor& checked(const Batch& batch, const Slot& slot) const;

  const CalibrationRequest request_;
  cuda::Stream stream_;
  cuda::PinnedPool pinned_;
  cuda::DevicePool device_;
  std::vector<Slot> slots_;
  std::optional<std::vector<std::byte>> cache_;
  BuildListener& listener_;
  BuildControl& control_;
  std::size_t batches_ = 0;
};

// The calibrator of the request's algorithm.
std::unique_ptr<nvinfer1::IInt8Calibrator> makeCalibrator(bool minMax, CalibrationFeed& feed);

}  // namespace tensorrt_node::tensorrt
#pragma GCC diagnostic pop
