#include "decoder_engine_toy.h"

#include <algorithm>
#include <cmath>
#include <random>

namespace test::toy {

namespace {

using Vector = std::vector<double>;

constexpr int qkvWidth = (heads + 2 * kvHeads) * headSize;

OnnxAttributes plugin() {
  return OnnxAttributes().text("plugin_namespace", "tensorrt_node").text("plugin_version", "1");
}

class Random {
 public:
  Matrix matrix(std::string name, std::vector<std::int64_t> dims, float size, float mean = 0) {
    std::size_t count = 1;
    for (const std::int64_t each : dims) count *= static_cast<std::size_t>(each);
    std::vector<float> values(count);
    // Exact in bfloat16: the reference and the engine have the same weights.
    for (float& each : values) each = mean + size * static_cast<float>(static_cast<int>(random_() % 129) - 64) / 64;
    return {std::move(name), std::move(dims), std::move(values)};
  }

 private:
  std::mt19937 random_{7};
};

Vector normed(const Vector& x, const Matrix& weight) {
  double squares = 0;
  for (const double each : x) squares += each * each;
  const double factor = 1 / std::sqrt(squares / static_cast<double>(x.size()) + epsilon);
  Vector y;
  for (std::size_t i = 0; i < x.size(); ++i) y.push_back(x[i] * factor * weight.values[i]);
  return y;
}

Vector product(const Vector& x, const Matrix& weight) {
  Vector y(static_cast<std::size_t>(weight.dims[0]));
  for (std::size_t row = 0; row < y.size(); ++row)
    for (std::size_t i = 0; i < x.size(); ++i) y[row] += x[i] * weight.values[row * x.size() + i];
  return y;
}

void add(Vector& to, const Vector& what) {
  for (std::size_t i = 0; i < to.size(); ++i) to[i] += what[i];
}

// Halves of a head are pairs.
void rotate(double* head, std::size_t position) {
  for (std::size_t i = 0; i < headSize / 2; ++i) {
    const double angle = static_cast<double>(position) * std::pow(10000.0, -2.0 * static_cast<double>(i) / headSize);
    const double first = head[i];
    const double second = head[i + headSize / 2];
    head[i] = first * std::cos(angle) - second * std::sin(angle);
    head[i + headSize / 2] = second * std::cos(angle) + first * std::sin(angle);
  }
}

// Of the last row of those given.
Vector attended(const std::vector<Vector>& rows) {
  Vector out(heads * headSize);
  for (std::size_t head = 0; head < heads; ++head) {
    const double* query = rows.back().data() + head * headSize;
    const std::size_t key = (heads + head / (heads / kvHeads)) * headSize;
    Vector scores;
    for (const Vector& row : rows) {
      double score = 0;
      for (std::size_t i = 0; i < headSize; ++i) score += query[i] * row[key + i];
      scores.push_back(std::exp(score * scale));
    }
    double total = 0;
    for (const double each : scores) total += each;
    for (std::size_t token = 0; token < rows.size(); ++token)
      for (std::size_t i = 0; i < headSize; ++i)
        out[head * headSize + i] += scores[token] / total * rows[token][key + kvHeads * headSize + i];
  }
  return out;
}

const Matrix& named(const std::vector<Matrix>& block, const std::string& name) {
  return *std::find_if(block.begin(), block.end(), [&](const Matrix& each) { return each.name == name; });
}

// Linear below, Gemm above a few rows.
void linear(OnnxModel& model, Range range, const std::string& x, const std::string& weight, const std::string& y,
            const std::string& residual = {}) {
  if (range != Range::decode) {
    model.node("Gemm", {x, weight}, {y}, y, OnnxAttributes().integer("transB", 1));
    return;
  }
  std::vector<std::string> inputs{x, weight};
  if (!residual.empty()) inputs.push_back(residual);
  model.node("Linear", inputs, {y}, y,
             plugin().integer("has_bias", 0).integer("has_residual", residual.empty() ? 0 : 1));
}

}  // namespace

Weights makeWeights() {
  Random random;
  Weights weights;
  weights.table = random.matrix("table", {vocabulary, width}, 1);
  for (int layer = 0; layer < layers; ++layer) {
    std::vector<Matrix> block;
    block.push_back(random.matrix("attention_norm", {width}, 0.25F, 1));
    block.push_back(random.matrix("qkv", {qkvWidth, width}, 0.25F));
    block.push_back(random.matrix("attention_output", {width, heads * headSize}, 0.125F));
    block.push_back(random.matrix("mlp_norm", {width}, 0.25F, 1));
    block.push_back(random.matrix("gate_up", {2 * inner, width}, 0.25F));
    block.push_back(random.matrix("down", {width, inner}, 0.25F));
    weights.blocks.push_back(std::move(block));
  }
  weights.norm = random.matrix("norm", {width}, 0.25F, 1);
  weights.head = random.matrix("head", {vocabulary, width}, 0.25F);
  weights.cos = {"cos", {maxPositions, headSize / 2}, {}};
  weights.sin = {"sin", {maxPositions, headSize / 2}, {}};
  for (int position = 0; position < maxPositions; ++position)
    for (int i = 0; i < headSize / 2; ++i) {
      const double angle = position * std::pow(10000.0, -2.0 * i / headSize);
      weights.cos.values.push_back(static_cast<float>(std::cos(angle)));
      weights.sin.values.push_back(static_cast<float>(std::sin(angle)));
    }
  return weights;
}

OnnxModel prologueModel(OnnxType type) {
  return OnnxModel()
      .input("tokens", {-1}, OnnxType::int32)
      .input("table", {vocabulary, width}, type)
      .output("hidden_out", type)
      .node("Embed", {"tokens", "table"}, {"hidden_out"}, "embed", plugin());
}

OnnxModel blockModel(OnnxType type, Range range, int pageTokens, const std::string& cacheType) {
  OnnxModel model;
  model.input("hidden", {-1, width}, type)
      .input("attention_norm", {width}, type)
      .input("qkv", {qkvWidth, width}, type)
      .input("cos", {maxPositions, headSize / 2})
      .input("sin", {maxPositions, headSize / 2})
      .input("cache", {2}, OnnxType::int64)
      .input("pages", {-1, -1}, OnnxType::int32)
      .input("run_starts", {-1}, OnnxType::int32)
      .input("run_slots", {-1}, OnnxType::int32)
      .input("positions", {-1}, OnnxType::int32)
      .input("attention_output", {width, heads * headSize}, type)
      .input("mlp_norm", {width}, type)
      .input("gate_up", {2 * inner, width}, type)
      .input("down", {width, inner}, type)
      .output("hidden_out", type);
  const auto norm = [](int hasSum) { return plugin().real("epsilon", epsilon).integer("has_sum", hasSum); };
  model.node("RmsNorm", {"hidden", "attention_norm"}, {"normed"}, "norm", norm(0));
  linear(model, range, "normed", "qkv", "qkv_rows");
  model.node("Attention", {"qkv_rows", "cos", "sin", "cache", "pages", "run_starts", "run_slots", "positions"},
             {"attended"}, "attention",
             plugin()
                 .integer("heads", heads)
                 .integer("kv_heads", kvHeads)
                 .integer("head_size", headSize)
                 .integer("rotary_size", headSize)
                 .integer("interleaved", 0)
                 .integer("page_size", pageTokens)
                 .integer("window", 0)
                 .real("scale", scale)
                 .real("softcap", 0)
                 .integer("decode", range == Range::prefill ? 0 : 1)
                 .text("cache_type", cacheType));
  if (range == Range::decode) {
    linear(model, range, "attended", "attention_output", "sum", "hidden");
    model.node("RmsNorm", {"sum", "mlp_norm"}, {"mlp_normed"}, "mlp_norm", norm(0));
  } else {
    linear(model, range, "attended", "attention_output", "projected");
    model.node("RmsNorm", {"projected", "mlp_norm", "hidden"}, {"mlp_normed", "sum"}, "mlp_norm", norm(1));
  }
  linear(model, range, "mlp_normed", "gate_up", "gate_up_rows");
  model.node("GatedActivation", {"gate_up_rows"}, {"gated"}, "gated", plugin().text("activation", "silu"));
  if (range == Range::decode) {
    linear(model, range, "gated", "down", "hidden_out", "sum");
  } else {
    linear(model, range, "gated", "down", "down_rows");
    model.node("Add", {"down_rows", "sum"}, {"hidden_out"}, "add");
  }
  return model;
}

OnnxModel epilogueModel(OnnxType type, Range range) {
  OnnxModel model;
  model.input("hidden", {-1, width}, type)
      .input("norm", {width}, type)
      .input("head", {vocabulary, width}, type)
      .output("logits")
      .node("RmsNorm", {"hidden", "norm"}, {"normed"}, "norm", plugin().real("epsilon", epsilon));
  if (range == Range::decode)
    model.node("Linear", {"normed", "head"}, {"logits"}, "head", plugin().integer("output_float32", 1));
  else
    model.node("Gemm", {"normed", "head"}, {"rows"}, "head", OnnxAttributes().integer("transB", 1))
        .node("Cast", {"rows"}, {"logits"}, "cast", OnnxAttributes().integer("to", 1));
  return model;
}

std::vector<std::vector<double>> reference(const Weights& weights, const std::vector<std::int32_t>& tokens) {
  std::vector<Vector> hidden;
  for (const std::int32_t token : tokens) {
    const float* row = weights.table.values.data() + token * width;
    hidden.emplace_back(row, row + width);
  }
  for (const std::vector<Matrix>& block : weights.blocks) {
    std::vector<Vector> rows;
    for (std::size_t at = 0; at < hidden.size(); ++at) {
      Vector row = product(normed(hidden[at], named(block, "attention_norm")), named(block, "qkv"));
      for (std::size_t head = 0; head < heads + kvHeads; ++head) rotate(row.data() + head * headSize, at);
      rows.push_back(std::move(row));
      add(hidden[at], product(attended(rows), named(block, "attention_output")));
    }
    for (Vector& each : hidden) {
      const Vector gateUp = product(normed(each, named(block, "mlp_norm")), named(block, "gate_up"));
      Vector gated;
      for (std::size_t i = 0; i < inner; ++i)
        gated.push_back(gateUp[i] / (1 + std::exp(-gateUp[i])) * gateUp[inner + i]);
      add(each, product(gated, named(block, "down")));
    }
  }
  std::vector<std::vector<double>> logits;
  for (const Vector& each : hidden) logits.push_back(product(normed(each, weights.norm), weights.head));
  return logits;
}

}  // namespace test::toy
