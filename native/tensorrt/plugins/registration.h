// The plugins of this library in TensorRT's registry: Embed, RmsNorm, GatedActivation, Linear and Attention, of which
// lowered decoders are made. ONNX nodes name them by their type, with the attributes `plugin_namespace`
// ("tensorrt_node") and `plugin_version` ("1"); their headers say what else they take.
#pragma once

#include "../libraries.h"

namespace tensorrt_node::tensorrt::plugins {

// Once a process. Throws TensorrtError.
void registerOperators(const Libraries& libraries);

}  // namespace tensorrt_node::tensorrt::plugins
