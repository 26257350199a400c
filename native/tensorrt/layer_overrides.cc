#include "layer_overrides.h"

#include <fnmatch.h>

#include <cstddef>
#include <cstdint>

#include "error.h"

// Superseded by strong typing in 10.12, and there until major 11.
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

namespace tensorrt_node::tensorrt {
namespace {

using nvinfer1::DataType;
using nvinfer1::LayerType;

bool isFloating(DataType type) noexcept {
  return type == DataType::kFLOAT || type == DataType::kHALF || type == DataType::kBF16;
}

// An output whose type a request may choose.
bool isFree(const nvinfer1::ITensor* output) noexcept {
  return output != nullptr && isFloating(output->getType()) && !output->isShapeTensor();
}

void apply(nvinfer1::ILayer& layer, const LayerOverride& wanted) {
  // TensorRT refuses types for these.
  if (layer.getType() == LayerType::kCONSTANT || layer.getType() == LayerType::kSHAPE) return;
  bool computes = false;
  for (std::int32_t i = 0; i < layer.getNbOutputs(); ++i) {
    if (!isFree(layer.getOutput(i))) continue;
    computes = true;
    if (wanted.outputType) layer.setOutputType(i, *wanted.outputType);
  }
  if (computes && wanted.precision) layer.setPrecision(*wanted.precision);
}

}  // namespace

std::vector<std::string> applyOverrides(nvinfer1::INetworkDefinition& network,
                                        const std::vector<LayerOverride>& overrides) {
  if (overrides.empty()) return {};
  if (network.getFlag(nvinfer1::NetworkDefinitionCreationFlag::kSTRONGLY_TYPED))
    throw UnsupportedError(
        "layer types cannot be overridden in a strongly typed network (pattern '" + overrides.front().pattern + "')",
        "build it weakly typed, or put Cast nodes into the model");
  std::vector<bool> matched(overrides.size());
  for (std::int32_t i = 0; i < network.getNbLayers(); ++i) {
    nvinfer1::ILayer& layer = *network.getLayer(i);
    for (std::size_t each = 0; each < overrides.size(); ++each) {
      if (::fnmatch(overrides[each].pattern.c_str(), layer.getName(), 0) != 0) continue;
      matched[each] = true;
      apply(layer, overrides[each]);
    }
  }
  std::vector<std::string> unmatched;
  for (std::size_t each = 0; each < overrides.size(); ++each)
    if (!matched[each]) unmatched.push_back(overrides[each].pattern);
  return unmatched;
}

}  // namespace tensorrt_node::tensorrt
