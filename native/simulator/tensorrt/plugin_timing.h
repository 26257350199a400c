// The builder runs plugins to time them, on memory that holds anything.
#pragma once

#include "plugin.h"

namespace simulated_tensorrt {

// One execution for the sizes that a profile was optimised for. Throws std::runtime_error.
void timePlugin(nvinfer1::IPluginV3& plugin, const PluginTensors& tensors, const PluginLayer& layer);

}  // namespace simulated_tensorrt
