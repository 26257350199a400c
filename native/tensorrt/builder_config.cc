#include "builder_config.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "error.h"
#include "logger.h"

// Precision flags are superseded by strong typing in 10.12, tactic sources earlier; both are there until major 11.
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

namespace tensorrt_node::tensorrt {
namespace {

using nvinfer1::BuilderFlag;
using nvinfer1::HardwareCompatibilityLevel;
using nvinfer1::ProfilingVerbosity;
using nvinfer1::TacticSource;
using nvinfer1::TilingOptimizationLevel;

// A word of a request, and the minor version of major 10 that has it.
template <typename Value>
struct Word {
  std::string_view word;
  Value value;
  std::int32_t minor = 6;
};

constexpr std::array kFlags{
    Word<BuilderFlag>{"fp16", BuilderFlag::kFP16},
    Word<BuilderFlag>{"bf16", BuilderFlag::kBF16},
    Word<BuilderFlag>{"int8", BuilderFlag::kINT8},
    Word<BuilderFlag>{"fp8", BuilderFlag::kFP8},
    Word<BuilderFlag>{"tf32", BuilderFlag::kTF32},
    Word<BuilderFlag>{"sparse-weights", BuilderFlag::kSPARSE_WEIGHTS},
    Word<BuilderFlag>{"refit", BuilderFlag::kREFIT},
    Word<BuilderFlag>{"refit-identical", BuilderFlag::kREFIT_IDENTICAL},
    Word<BuilderFlag>{"strip-plan", BuilderFlag::kSTRIP_PLAN},
    Word<BuilderFlag>{"weight-streaming", BuilderFlag::kWEIGHT_STREAMING},
    Word<BuilderFlag>{"version-compatible", BuilderFlag::kVERSION_COMPATIBLE},
    Word<BuilderFlag>{"exclude-lean-runtime", BuilderFlag::kEXCLUDE_LEAN_RUNTIME},
    Word<BuilderFlag>{"obey-precision-constraints", BuilderFlag::kOBEY_PRECISION_CONSTRAINTS},
    Word<BuilderFlag>{"prefer-precision-constraints", BuilderFlag::kPREFER_PRECISION_CONSTRAINTS},
    Word<BuilderFlag>{"disable-timing-cache", BuilderFlag::kDISABLE_TIMING_CACHE},
};

constexpr std::array kTacticSources{
    Word<TacticSource>{"cublas", TacticSource::kCUBLAS},
    Word<TacticSource>{"cublas-lt", TacticSource::kCUBLAS_LT},
    Word<TacticSource>{"cudnn", TacticSource::kCUDNN},
    Word<TacticSource>{"edge-mask-convolutions", TacticSource::kEDGE_MASK_CONVOLUTIONS},
    Word<TacticSource>{"jit-convolutions", TacticSource::kJIT_CONVOLUTIONS},
};

constexpr std::array kHardwareCompatibilities{
    Word<HardwareCompatibilityLevel>{"none", HardwareCompatibilityLevel::kNONE},
    Word<HardwareCompatibilityLevel>{"ampere-plus", HardwareCompatibilityLevel::kAMPERE_PLUS},
    Word<HardwareCompatibilityLevel>{"same-compute-capability", HardwareCompatibilityLevel::kSAME_COMPUTE_CAPABILITY,
                                     9},
};

constexpr std::array kVerbosities{
    Word<ProfilingVerbosity>{"none", ProfilingVerbosity::kNONE},
    Word<ProfilingVerbosity>{"layer-names-only", ProfilingVerbosity::kLAYER_NAMES_ONLY},
    Word<ProfilingVerbosity>{"detailed", ProfilingVerbosity::kDETAILED},
};

constexpr std::array kTilingLevels{
    Word<TilingOptimizationLevel>{"none", TilingOptimizationLevel::kNONE, 8},
    Word<TilingOptimizationLevel>{"fast", TilingOptimizationLevel::kFAST, 8},
    Word<TilingOptimizationLevel>{"moderate", TilingOptimizationLevel::kMODERATE, 8},
    Word<TilingOptimizationLevel>{"full", TilingOptimizationLevel::kFULL, 8},
};

template <typename Value, std::size_t count>
Value find(const std::array<Word<Value>, count>& words, const char* option, std::string_view wanted,
           const Version& version) {
  for (const Word<Value>& each : words) {
    if (each.word != wanted) continue;
    if (!version.atLeast(10, each.minor))
      throw UnsupportedError(std::string(option) + " '" + std::string(wanted) + "' needs TensorRT 10." +
                             std::to_string(each.minor) + " or later; this is " + version.text());
    return each.value;
  }
  throw UnsupportedError(std::string(option) + " '" + std::string(wanted) + "' is not known");
}

[[noreturn]] void refused(const char* call, const std::string& what, const LogCapture& log) {
  throw TensorrtError(call, log.explain("TensorRT refuses " + what));
}

}  // namespace

void configure(nvinfer1::IBuilderConfig& config, const BuildRequest& request, const Version& version) {
  // TensorRT's default; here it is one of the flags.
  config.clearFlag(BuilderFlag::kTF32);
  for (const std::string& flag : request.flags) config.setFlag(find(kFlags, "flag", flag, version));
  if (request.optimizationLevel) config.setBuilderOptimizationLevel(*request.optimizationLevel);
  if (request.workspaceBytes) config.setMemoryPoolLimit(nvinfer1::MemoryPoolType::kWORKSPACE, *request.workspaceBytes);
  if (request.tacticSources) {
    std::uint32_t bits = 0;
    for (const std::string& source : *request.tacticSources)
      bits |= 1U << static_cast<std::uint32_t>(find(kTacticSources, "tactic source", source, version));
    const LogCapture log;
    if (!config.setTacticSources(bits)) refused("IBuilderConfig::setTacticSources", "the tactic sources", log);
  }
  if (request.hardwareCompatibility)
    config.setHardwareCompatibilityLevel(
        find(kHardwareCompatibilities, "hardware compatibility", *request.hardwareCompatibility, version));
  config.setProfilingVerbosity(find(kVerbosities, "profiling verbosity", request.profilingVerbosity, version));
  if (request.maxAuxStreams) config.setMaxAuxStreams(*request.maxAuxStreams);
  if (request.averageTimingIterations) config.setAvgTimingIterations(*request.averageTimingIterations);
  if (request.tilingOptimizationLevel) {
    const auto level = find(kTilingLevels, "tiling optimization level", *request.tilingOptimizationLevel, version);
    const LogCapture log;
    if (!config.setTilingOptimizationLevel(level))
      refused("IBuilderConfig::setTilingOptimizationLevel", "the tiling optimization level", log);
  }
}

}  // namespace tensorrt_node::tensorrt
