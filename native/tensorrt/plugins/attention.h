// Attention(qkv [rows, (heads + 2 * kv_heads) * head_size], cos float32 [positions, rotary_size / 2], sin likewise,
// cache int64 [2], pages int32 [slots, pages_per_slot], run_starts int32 [runs + 1], run_slots int32 [runs],
// positions int32 [rows]) -> [rows, heads * head_size]: rotates queries and keys, writes keys and values to the pages
// whose two addresses `cache` holds, and attends to them. See kernels::AttentionParameters.
// Attributes: heads, kv_heads, head_size, rotary_size, page_size int; interleaved, window int (0); scale float;
// softcap float (0); decode int (0): every run is one row; splits int (0): parts that a row's keys are read in at once,
// 0 for what fills the GPU. Where it is not 0 a row's result does not depend on how many rows there are. cache_type
// text
// ('auto'): what the pages hold, elements of the hidden type or 'fp8' or 'int8' (kernels/cache_format.h).
#pragma once

#include "operator.h"

namespace tensorrt_node::tensorrt::plugins {

class Attention final : public Operator {
 public:
  static OperatorType type();
  explicit Attention(const Fields& fields);

  const char* name() const noexcept override { return "Attention"; }
  std::unique_ptr<Operator> clone() const override { return std::make_unique<Attention>(*this); }
  void save(SavedFields& fields) const override;
  Signature signature(std::size_t inputs) const override;
  std::vector<nvinfer1::DimsExprs> outputShapes(std::span<const nvinfer1::DimsExprs> inputs,
                                                nvinfer1::IExprBuilder& builder) const override;
  void check(const Shapes& shapes) const override;
  std::size_t workspaceBytes(std::span<const nvinfer1::Dims> largestInputs) const override;
  void attach(const std::shared_ptr<const kernels::Kernels>& kernels) override;
  void enqueue(const Launch& launch) const override;

 private:
  std::int32_t heads_;
  std::int32_t kvHeads_;
  std::int32_t headSize_;
  std::int32_t rotarySize_;
  std::int32_t pageSize_;
  std::int32_t interleaved_;
  std::int32_t window_;
  float scale_;
  float softcap_;
  bool decode_;
  std::int32_t splits_;
  kernels::CacheType cacheType_;
  // Of the execution context that it is attached to, whose executions follow each other.
  std::shared_ptr<const kernels::Arrivals> arrivals_;
};

}  // namespace tensorrt_node::tensorrt::plugins
