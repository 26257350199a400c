// Times of layers for an IProfiler: marks in the stream around what is queued, read when they have passed.
#pragma once

#include <NvInferRuntime.h>
#include <cuda.h>

#include <functional>
#include <string>
#include <vector>

namespace simulated_tensorrt {

// A CUDA event that keeps its time.
class Mark {
 public:
  Mark();
  ~Mark();
  Mark(Mark&& other) noexcept;
  Mark& operator=(Mark&& other) noexcept;

  bool record(CUstream stream) const;
  // Empty of two that have not passed; in milliseconds.
  bool since(const Mark& start, float& milliseconds) const;

 private:
  CUcontext context_ = nullptr;
  CUevent event_ = nullptr;
};

class LayerTimer {
 public:
  // Another run begins: what was timed before is forgotten.
  void begin() { spans_.clear(); }
  // Calls `queue`, which queues these layers' work in one go: each takes an equal share of its time.
  bool time(CUstream stream, std::vector<std::string> layers, const std::function<bool()>& queue);
  // Of the last run. False where nothing was timed, or it is not over.
  bool report(nvinfer1::IProfiler& profiler) const;

 private:
  struct Span {
    std::vector<std::string> layers;
    Mark start;
    Mark end;
  };
  std::vector<Span> spans_;
};

}  // namespace simulated_tensorrt
