// TensorRT as this addon opens it: at exit nothing of ours is under way when it takes itself apart.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "../tensorrt/engine.h"
#include "../tensorrt/libraries.h"

namespace tensorrt_node::binding {

// Throws TensorrtError.
tensorrt::Libraries openLibraries(const std::vector<std::string>& candidates);

// The context and pools of a GPU as this process shares it. Throws CudaError.
tensorrt::DeviceMemory memoryOf(int device);

// Opens the libraries too. Throws as Engine::load().
std::shared_ptr<const tensorrt::Engine> loadPlan(const std::vector<std::string>& candidates,
                                                 tensorrt::DeviceMemory memory, std::span<const std::byte> plan,
                                                 const tensorrt::EngineOptions& options = {});

}  // namespace tensorrt_node::binding
