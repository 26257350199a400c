// A decoder as the runner runs it: its parts one after another, and which weights each run takes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "../../kernels/parameters.h"

namespace tensorrt_node::decode {

// Names of tensors that parts have beside their weights.
namespace tensor {
inline const std::string tokens = "tokens";         // int32 [rows], of the prologue
inline const std::string hidden = "hidden";         // [rows, hiddenSize], of what follows
inline const std::string hiddenOut = "hidden_out";  // of all but the epilogue
inline const std::string logits = "logits";         // float32 [rows, vocabulary], of the epilogue
inline const std::string cache = "cache";           // int64 [2], of blocks, as what follows
inline const std::string pages = "pages";           // int32 [slots, pagesPerSlot]
inline const std::string runStarts = "run_starts";  // int32 [runs + 1]
inline const std::string runSlots = "run_slots";    // int32 [runs]
inline const std::string positions = "positions";   // int32 [rows]
}  // namespace tensor

struct WeightInput {
  std::string name;
  // Its number in the model.
  std::size_t weight;
};

// One run of a part.
struct PartRun {
  std::size_t part;
  // Of the attention in it; -1 for parts without.
  std::int32_t layer;
  std::vector<WeightInput> weights;
};

struct DecoderModel {
  kernels::ElementType type = kernels::ElementType::float16;
  std::int32_t hiddenSize = 0;
  std::int32_t vocabulary = 0;
  std::int32_t layers = 0;
  std::int32_t kvHeads = 0;
  std::int32_t headSize = 0;
  kernels::CacheType cacheType = kernels::CacheType::plain;
  std::size_t parts = 0;
  // The prologue first, the epilogue last.
  std::vector<PartRun> runs;
  // Of each weight, on the device.
  std::vector<std::uint64_t> weightBytes;
};

}  // namespace tensorrt_node::decode
