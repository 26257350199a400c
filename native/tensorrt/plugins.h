// NVIDIA's plugins (NMS, RoIAlign, …), which models and plans may name.
#pragma once

#include "libraries.h"

namespace tensorrt_node::tensorrt {

// Registers the plugins of libnvinfer_plugin, once a process, if the library lies beside libnvinfer or where the
// loader looks. Without it engines that need none of them work all the same. CUDA must be initialised. Throws
// TensorrtError when the library is there and fails.
void registerPlugins(const Libraries& libraries);

}  // namespace tensorrt_node::tensorrt
