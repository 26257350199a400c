#include "runtime.h"

#include <algorithm>
#include <memory>

#include "device.h"
#include "engine.h"
#include "log.h"
#include "plan.h"

namespace simulated_tensorrt {

nvinfer1::ICudaEngine* Runtime::deserializeCudaEngine(void const* blob, std::size_t size) noexcept {
  constexpr const char* method = "IRuntime::deserializeCudaEngine";
  try {
    if (!hasContext()) throw PlanError(1, "Cuda Runtime", "no CUDA context is current");
    if (settings().failDeserialize) throw PlanError(2, "Internal Error", "Assertion failed as the settings wish.");
    if (blob == nullptr) throw PlanError(3, "API Usage Error", "Parameter check failed, condition: blob != nullptr.");
    Plan plan = readPlan({static_cast<const char*>(blob), size}, computeCapability());
    const bool hasHostCode =
        plan.has(nvinfer1::BuilderFlag::kVERSION_COMPATIBLE) && !plan.has(nvinfer1::BuilderFlag::kEXCLUDE_LEAN_RUNTIME);
    if (hasHostCode && !hostCode_)
      throw PlanError(6, "API Usage Error",
                      "The engine contains host code, which is not allowed: call setEngineHostCodeAllowed(true).");
    DeviceMemory weights(std::max<std::size_t>(weightBytes(plan.graph), 1));
    if (weights.address() == 0)
      throw PlanError(2, "OutOfMemory", "Requested size was " + std::to_string(weightBytes(plan.graph)) + " bytes.");
    return std::make_unique<Engine>(std::move(plan), std::move(weights), logger_).release();
  } catch (const PlanError& problem) {
    error(logger_, method, problem.code, problem.name, problem.what());
  } catch (const std::exception& problem) {
    error(logger_, method, 2, "Internal Error", problem.what());
  }
  return nullptr;
}

}  // namespace simulated_tensorrt
