// Plans: what the builder makes and the runtime reads.
#pragma once

#include <NvInfer.h>

#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "graph.h"
#include "profile.h"
#include "settings.h"

namespace simulated_tensorrt {

struct Plan {
  Version version;
  ComputeCapability capability;
  nvinfer1::HardwareCompatibilityLevel compatibility = nvinfer1::HardwareCompatibilityLevel::kNONE;
  nvinfer1::BuilderFlags flags = 0;
  nvinfer1::ProfilingVerbosity verbosity = nvinfer1::ProfilingVerbosity::kLAYER_NAMES_ONLY;
  nvinfer1::TacticSources tacticSources = 0;
  std::int32_t optimizationLevel = 0;
  std::uint64_t workspace = 0;
  std::int32_t auxStreams = 0;
  bool stronglyTyped = false;
  std::string name;
  // The calibration cache it was quantized by; empty for none.
  std::string calibration;
  // One, empty, for networks without dynamic shapes.
  std::vector<Ranges> profiles;
  Graph graph;

  bool has(nvinfer1::BuilderFlag flag) const { return (flags >> static_cast<int>(flag) & 1) != 0; }
};

std::string write(const Plan& plan);

// What TensorRT says of it: a number and a name for the error, and the text.
struct PlanError : std::runtime_error {
  PlanError(int number, const char* named, const std::string& text)
      : std::runtime_error(text), code(number), name(named) {}
  int code;
  const char* name;
};
// Throws PlanError for damaged plans and for those of another version or GPU.
Plan readPlan(std::string_view bytes, ComputeCapability here);

}  // namespace simulated_tensorrt
