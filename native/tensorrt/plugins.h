// The plugins that models and plans may name: NVIDIA's (NMS, RoIAlign, …), and those of lowered decoders.
#pragma once

#include "libraries.h"

namespace tensorrt_node::tensorrt {

// Registers them, once a process: ours, and those of libnvinfer_plugin if the library lies beside libnvinfer or where
// the loader looks. Without it engines that need none of them work all the same. CUDA must be initialised. Throws
// TensorrtError when the library is there and fails, or TensorRT refuses ours.
void registerPlugins(const Libraries& libraries);

}  // namespace tensorrt_node::tensorrt
