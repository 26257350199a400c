// TensorRT's reports of how far a build is, and the place where it can be stopped.
#pragma once

#include <NvInfer.h>

#include <cstdint>

#include "build_control.h"

namespace tensorrt_node::tensorrt {

struct Progress {
  enum class Event { start, step, finish };
  Event event;
  std::string phase;
  // With the start; empty for a phase that is part of no other.
  std::string parent;
  std::int32_t steps = 0;
  // The step that is done, from 0.
  std::int32_t step = 0;
};

// Told of a build's progress; called from threads of TensorRT's choice.
class BuildListener {
 public:
  virtual ~BuildListener() = default;
  virtual void progress(Progress progress) = 0;
  // The calibrator waits for BuildControl::provideBatch().
  virtual void batchWanted() = 0;
};

class ProgressMonitor final : public nvinfer1::IProgressMonitor {
 public:
  ProgressMonitor(BuildListener& listener, BuildControl& control) noexcept : listener_(listener), control_(control) {}

  void phaseStart(const char* phase, const char* parent, std::int32_t steps) noexcept override;
  bool stepComplete(const char* phase, std::int32_t step) noexcept override;
  void phaseFinish(const char* phase) noexcept override;

 private:
  void tell(Progress::Event event, const char* phase, const char* parent, std::int32_t steps,
            std::int32_t step) noexcept;

  BuildListener& listener_;
  BuildControl& control_;
};

}  // namespace tensorrt_node::tensorrt
