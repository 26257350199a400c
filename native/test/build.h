// Builds of engines on the simulated TensorRT.
#pragma once

#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "onnx_model.h"
#include "simulated.h"
#include "simulator/tensorrt/simulated_tensorrt.h"
#include "temporary_folder.h"
#include "tensorrt/builder.h"

namespace test {

inline tensorrt_node::tensorrt::Libraries libraries() {
  return tensorrt_node::tensorrt::Libraries::open({SIMULATED_NVINFER_PATH});
}

// Keeps what it is told; `onProgress` and `onBatchWanted` are called as well.
class RecordingListener final : public tensorrt_node::tensorrt::BuildListener {
 public:
  void progress(tensorrt_node::tensorrt::Progress progress) override {
    if (onProgress) onProgress(progress);
    const std::lock_guard lock(mutex_);
    events_.push_back(std::move(progress));
  }
  void batchWanted() override {
    ++batchesWanted;
    if (onBatchWanted) onBatchWanted();
  }
  std::vector<tensorrt_node::tensorrt::Progress> events() {
    const std::lock_guard lock(mutex_);
    return events_;
  }

  std::function<void(const tensorrt_node::tensorrt::Progress&)> onProgress;
  std::function<void()> onBatchWanted;
  int batchesWanted = 0;

 private:
  std::mutex mutex_;
  std::vector<tensorrt_node::tensorrt::Progress> events_;
};

// A build in a folder of its own: model.onnx becomes model.plan.
struct BuildRun {
  explicit BuildRun(const OnnxModel& model) : BuildRun(model.bytes()) {}
  explicit BuildRun(const std::string& model) {
    request.model = folder.write("model.onnx", model);
    request.plan = folder.file("model.plan");
  }

  tensorrt_node::tensorrt::BuildResult run() {
    return tensorrt_node::tensorrt::build(libraries(), context(), request, listener, control);
  }

  TemporaryFolder folder;
  tensorrt_node::tensorrt::BuildRequest request;
  RecordingListener listener;
  tensorrt_node::tensorrt::BuildControl control;
};

}  // namespace test
