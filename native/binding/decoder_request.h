// What loadDecoder is asked for, out of JavaScript; NativeDecoderRequest in lib/native/decoder_addon.ts.
#pragma once

#include <napi.h>

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "../decode/decode_loop.h"
#include "../decode/gpu/decoder_model.h"
#include "../decode/gpu/gpu_runner.h"
#include "../decode/request.h"
#include "../decode/step_runner.h"
#include "../weights/matrix.h"
#include "../weights/store.h"

namespace tensorrt_node::binding {

struct DecoderRequest {
  // Empty where the one for `decode` serves.
  struct Plans {
    std::span<const std::byte> decode;
    std::span<const std::byte> wide;
    std::span<const std::byte> prefill;
  };

  int device = 0;
  std::vector<std::string> candidates;
  // Without its weights.
  decode::DecoderModel model;
  // On the request's own memory.
  std::vector<Plans> parts;
  std::vector<weights::Matrix> weights;
  // Of each of the model's runs.
  std::vector<weights::StoreRun> placement;
  weights::StoreOptions store{};
  decode::GpuRunnerOptions runner{};
  decode::SchedulerOptions options{};
};

// Throws std::invalid_argument.
DecoderRequest decoderRequest(const Napi::Object& request);

decode::Sampling samplingOf(const Napi::Object& sampling);
std::vector<std::int32_t> tokensOf(const Napi::Value& tokens);

}  // namespace tensorrt_node::binding
