#include "attention.h"

#include <stdexcept>
#include <string>

#include "../../kernels/cache_type_name.h"
#include "../../kernels/geometry.h"
#include "shapes.h"

namespace tensorrt_node::tensorrt::plugins {
namespace {

enum Input : std::size_t { qkv, cos, sin, cache, pages, runStarts, runSlots, positions };

std::int32_t positive(const Fields& fields, const char* name) {
  const std::int32_t value = fields.integer(name);
  if (value < 1) throw std::invalid_argument(std::string("attribute '") + name + "' must be at least 1");
  return value;
}

std::int32_t notNegative(std::int32_t value, const char* name) {
  if (value < 0) throw std::invalid_argument(std::string("attribute '") + name + "' must not be negative");
  return value;
}

}  // namespace

OperatorType Attention::type() {
  return {"Attention",
          {{"heads"},
           {"kv_heads"},
           {"head_size"},
           {"rotary_size"},
           {"page_size"},
           {"interleaved"},
           {"window"},
           {"scale"},
           {"softcap"},
           {"decode"},
           {"splits"},
           {"cache_type"}},
          makeOperator<Attention>};
}

Attention::Attention(const Fields& fields)
    : heads_(positive(fields, "heads")),
      kvHeads_(positive(fields, "kv_heads")),
      headSize_(positive(fields, "head_size")),
      rotarySize_(notNegative(fields.integer("rotary_size"), "rotary_size")),
      pageSize_(positive(fields, "page_size")),
      interleaved_(fields.integer("interleaved", 0)),
      window_(notNegative(fields.integer("window", 0), "window")),
      scale_(fields.real("scale")),
      softcap_(fields.real("softcap", 0)),
      decode_(fields.integer("decode", 0) != 0),
      splits_(notNegative(fields.integer("splits", 0), "splits")),
      cacheType_(kernels::cacheTypeNamed(fields.text("cache_type", "auto"))) {
  if (heads_ % kvHeads_ != 0) throw std::invalid_argument("attribute 'heads' must be a multiple of 'kv_heads'");
  if (rotarySize_ % 2 != 0 || rotarySize_ > headSize_)
    throw std::invalid_argument("attribute 'rotary_size' must be even and at most 'head_size'");
  if (!kernels::servesHeadSize(headSize_))
    throw std::invalid_argument("there is no attention kernel for heads of " + std::to_string(headSize_));
}

void Attention::save(SavedFields& fields) const {
  fields.integer("heads", heads_);
  fields.integer("kv_heads", kvHeads_);
  fields.integer("head_size", headSize_);
  fields.integer("rotary_size", rotarySize_);
  fields.integer("page_size", pageSize_);
  fields.integer("interleaved", interleaved_);
  fields.integer("window", window_);
  fields.real("scale", scale_);
  fields.real("softcap", softcap_);
  fields.integer("decode", decode_ ? 1 : 0);
  fields.integer("splits", splits_);
  fields.text("cache_type", kernels::nameOf(cacheType_));
}

Signature Attention::signature(std::size_t inputs) const {
  requireInputs(inputs, 8);
  return {{Element::hidden, Element::float32, Element::float32, Element::int64, Element::int32, Element::int32,
           Element::int32, Element::int32},
          {Element::hidden}};
}

std::vector<nvinfer1::DimsExprs> Attention::outputShapes(std::span<const nvinfer1::DimsExprs> inputs,
                                                         nvinfer1::IExprBuilder& builder) const {
  return {matrix(inputs[qkv].d[0], builder.constant(std::int64_t{heads_} * headSize_))};
}

void Attention::check(const Shapes& shapes) const {
  const auto& in = shapes.inputs;
  requireRank(in[qkv], 2, "qkv");
  requireSize(in[qkv], 1, std::int64_t{heads_ + 2 * kvHeads_} * headSize_, "qkv");
  if (rotarySize_ > 0) {
    requireRank(in[cos], 2, "cos");
    requireSize(in[cos], 1, rotarySize_ / 2, "cos");
    requireRank(in[sin], 2, "sin");
    requireSize(in[sin], 0, in[cos].d[0], "sin");
    requireSize(in[sin], 1, rotarySize_ / 2, "sin");
  }
  requireRank(in[cache], 1, "cache");
  requireSize(in[cache], 0, 2, "cache");
  requireRank(in[pages], 2, "pages");
  requireRank(in[runSlots], 1, "run_slots");
  requireRank(in[runStarts], 1, "run_starts");
  requireSize(in[runStarts], 0, in[runSlots].d[0] + 1, "run_starts");
  requireRank(in[positions], 1, "positions");
  requireSize(in[positions], 0, in[qkv].d[0], "positions");
  if (decode_) requireSize(in[runSlots], 0, in[qkv].d[0], "run_slots");
}

// The plan may run on a GPU with more multiprocessors than this one, which wants more splits.
std::size_t Attention::workspaceBytes(std::span<const nvinfer1::Dims> largestInputs) const {
  const std::int32_t rows = static_cast<std::int32_t>(largestInputs[qkv].d[0]);
  const std::int32_t splits = splits_ > 0 ? splits_ : kernels::attentionMostSplits;
  return decode_ ? kernels::attentionWorkspaceBytes(rows, heads_, headSize_, splits) : 0;
}

void Attention::attach(const std::shared_ptr<const kernels::Kernels>& kernels) {
  if (decode_) arrivals_ = std::make_shared<const kernels::Arrivals>(kernels);
}

void Attention::enqueue(const Launch& launch) const {
  kernels::AttentionParameters parameters{};
  parameters.qkv = launch.inputs[qkv];
  parameters.out = launch.outputs[0];
  parameters.cos = rotarySize_ > 0 ? launch.in<float>(cos) : nullptr;
  parameters.sin = rotarySize_ > 0 ? launch.in<float>(sin) : nullptr;
  parameters.cache = launch.in<std::int64_t>(cache);
  parameters.pages = launch.in<std::int32_t>(pages);
  parameters.runStarts = launch.in<std::int32_t>(runStarts);
  parameters.runSlots = launch.in<std::int32_t>(runSlots);
  parameters.positions = launch.in<std::int32_t>(positions);
  parameters.workspace = launch.workspace;
  parameters.rows = launch.input(qkv, 0);
  parameters.runs = launch.input(runSlots, 0);
  parameters.heads = heads_;
  parameters.kvHeads = kvHeads_;
  parameters.headSize = headSize_;
  parameters.rotarySize = rotarySize_;
  parameters.interleaved = interleaved_;
  parameters.pagesPerSlot = launch.input(pages, 1);
  parameters.pageSize = pageSize_;
  parameters.window = window_;
  parameters.scale = scale_;
  parameters.softcap = softcap_;
  parameters.cacheType = cacheType_;
  parameters.decode = decode_ ? 1 : 0;
  parameters.splits = 1;
  if (decode_) {
    const std::int32_t tokens = parameters.pagesPerSlot * pageSize_;
    parameters.splits =
        splits_ > 0 ? splits_
                    : kernels::attentionSplits(launch.kernels, parameters.rows, heads_, kvHeads_, headSize_, tokens);
    parameters.arrivals = arrivals_->first();
  }
  kernels::attention(launch.kernels, launch.stream, launch.type, parameters);
}

}  // namespace tensorrt_node::tensorrt::plugins
