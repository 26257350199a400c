// What an engine is built from, and how.
#pragma once

#include <NvInfer.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tensor_info.h"

namespace tensorrt_node::tensorrt {

// Of an input's shape, or with `values` of the content of an input that holds a shape.
struct RequestedRange {
  Range range;
  bool values = false;
};

// By the names of inputs.
using RequestedProfile = std::map<std::string, RequestedRange>;

struct LayerOverride {
  // Of fnmatch(3), on layers' names.
  std::string pattern;
  std::optional<nvinfer1::DataType> precision;
  std::optional<nvinfer1::DataType> outputType;
};

struct CalibrationRequest {
  bool minMax = false;
  // Of a batch's first dimension, where that is dynamic.
  std::int64_t batchSize = 1;
  // Files.
  std::optional<std::string> cache;
  std::optional<std::string> cacheOut;
};

struct BuildRequest {
  std::string model;
  // A file to read in the model's place; external data is still beside the model.
  std::optional<std::string> rewrittenModel;
  std::string plan;
  std::optional<std::string> timingCache;
  std::optional<std::string> timingCacheOut;
  bool stronglyTyped = false;
  // Words of the request's `flags` and `tacticSources`.
  std::vector<std::string> flags;
  std::optional<std::vector<std::string>> tacticSources;
  std::optional<std::int32_t> optimizationLevel;
  std::optional<std::size_t> workspaceBytes;
  std::optional<std::string> hardwareCompatibility;
  std::string profilingVerbosity = "layer-names-only";
  std::optional<std::int32_t> maxAuxStreams;
  std::optional<std::int32_t> averageTimingIterations;
  std::optional<std::string> tilingOptimizationLevel;
  std::vector<RequestedProfile> profiles;
  std::vector<LayerOverride> layers;
  std::optional<CalibrationRequest> calibration;
};

}  // namespace tensorrt_node::tensorrt
