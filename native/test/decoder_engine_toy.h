// A decoder of two layers with weights made up, as the lowering would have it: models of its parts for few rows and for
// many, and what it computes, in plain loops from whole texts.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "onnx_model.h"

namespace test::toy {

constexpr int vocabulary = 13;
constexpr int width = 24;
constexpr int heads = 2;
constexpr int kvHeads = 1;
constexpr int headSize = 64;
constexpr int inner = 40;
constexpr int layers = 2;
constexpr int pageSize = 16;
constexpr int maxPositions = 64;
constexpr float epsilon = 1e-5F;
constexpr float scale = 0.125F;

// Few rows of many sequences, more of them, or many rows of few.
enum class Range { decode, wide, prefill };

// Dense and row-major.
struct Matrix {
  std::string name;
  std::vector<std::int64_t> dims;
  std::vector<float> values;
};

struct Weights {
  Matrix table;
  // By layer, under the names of the block's inputs.
  std::vector<std::vector<Matrix>> blocks;
  Matrix norm;
  Matrix head;
  // float32 whatever the type.
  Matrix cos;
  Matrix sin;
};
Weights makeWeights();

// tokens -> hidden_out; hidden, cache, pages, run_starts, run_slots, positions -> hidden_out; hidden -> logits.
OnnxModel prologueModel(OnnxType type);
// `cacheType`: of Attention.
OnnxModel blockModel(OnnxType type, Range range, int pageTokens = pageSize, const std::string& cacheType = "auto");
OnnxModel epilogueModel(OnnxType type, Range range);

// The logits after each token, in double.
std::vector<std::vector<double>> reference(const Weights& weights, const std::vector<std::int32_t>& tokens);

}  // namespace test::toy
