// Plugins on packed matrices through TensorRT's interfaces.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "engines.h"
#include "halves.h"
#include "packed.h"
#include "tensorrt/bound_execution.h"
#include "tensorrt/error.h"

namespace cuda = tensorrt_node::cuda;
namespace trt = tensorrt_node::tensorrt;
using tensorrt_node::kernels::CodeType;
using tensorrt_node::kernels::Offsets;
using tensorrt_node::kernels::QuantizedFormat;
using test::OnnxAttributes;
using test::OnnxModel;
using test::OnnxType;

namespace {

constexpr OnnxType f16 = OnnxType::float16;
constexpr QuantizedFormat format{.codes = CodeType::uint4, .offsets = Offsets::middle, .block = 32, .gated = 0};
constexpr QuantizedFormat gatedFormat{.codes = CodeType::uint4, .offsets = Offsets::middle, .block = 32, .gated = 1};

OnnxAttributes packedAttributes(int outer, int inner, int gated = 0) {
  return OnnxAttributes()
      .text("plugin_namespace", "tensorrt_node")
      .text("plugin_version", "1")
      .integer("outer", outer)
      .integer("inner", inner)
      .text("codes", "uint4")
      .text("offsets", "middle")
      .integer("block", 32)
      .integer("gated", gated);
}

template <typename Element>
void fill(trt::BoundExecution& bound, const std::string& name, const std::vector<Element>& values) {
  for (std::size_t i = 0; i < bound.inputs().size(); ++i) {
    if (bound.engine().inputs()[i].name != name) continue;
    cuda::PinnedBlock& block = *bound.inputs()[i];
    CHECK_EQUAL(block.size(), values.size() * sizeof(Element));
    cuda::noteHostAccess(block.data(), block.size(), true);
    std::memcpy(block.data(), values.data(), block.size());
    return;
  }
  check::fail(__FILE__, __LINE__, "no input " + name);
}

void run(trt::BoundExecution& bound) {
  bound.launch();
  bound.wait();
}

std::vector<float> halvesOf(const trt::BoundExecution& bound) {
  std::vector<float> values;
  for (const auto each : test::elements<std::uint16_t>(*bound.outputs().at(0))) values.push_back(test::fromHalf(each));
  return values;
}

std::vector<float> counted(std::size_t count) {
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = static_cast<float>(i % 5) * 0.25F - 0.5F;
  return values;
}

float product(const std::vector<float>& x, std::size_t row, const test::PackedMatrix& weight, std::size_t outer,
              std::size_t inner) {
  float sum = 0;
  for (std::size_t i = 0; i < inner; ++i) sum += x[row * inner + i] * weight.values[outer * inner + i];
  return sum;
}

// The message of a build that fails.
std::string failure(const OnnxModel& model) {
  test::BuildRun build(model);
  return CHECK_THROWS(build.run(), trt::TensorrtError).what();
}

std::int64_t wordsOf(const test::PackedMatrix& weight) {
  return static_cast<std::int64_t>(weight.words.size());
}

}  // namespace

TEST(plugins_multiply_with_packed_weights) {
  const test::PackedMatrix weight = test::packed(format, 20, 40);
  const std::vector<float> x = counted(3 * 40);
  const std::vector<float> residual = counted(3 * 20);
  const auto engine =
      test::load(test::planOf(OnnxModel()
                                  .input("x", {3, 40}, f16)
                                  .input("w", {wordsOf(weight)}, OnnxType::int32)
                                  .input("bias", {20}, f16)
                                  .input("residual", {3, 20}, f16)
                                  .output("y")
                                  .node("QuantizedLinear", {"x", "w", "bias", "residual"}, {"y"}, "linear",
                                        packedAttributes(20, 40)
                                            .integer("has_bias", 1)
                                            .integer("has_residual", 1)
                                            .integer("output_float32", 1))));
  CHECK_EQUAL(trt::shapeText(engine->outputs().at(0).dims), "[3, 20]");
  trt::BoundExecution bound(engine, {{3, 40}, {wordsOf(weight)}, {20}, {3, 20}}, {}, "test");
  fill(bound, "x", test::halves(x));
  fill(bound, "w", weight.words);
  fill(bound, "bias", test::halves(std::vector<float>(20, 3)));
  fill(bound, "residual", test::halves(residual));
  run(bound);
  const auto y = test::elements<float>(*bound.outputs().at(0));
  for (std::size_t row = 0; row < 3; ++row)
    for (std::size_t outer = 0; outer < 20; ++outer)
      CHECK(std::fabs(y[row * 20 + outer] - (product(x, row, weight, outer, 40) + 3 + residual[row * 20 + outer])) <=
            1e-3F);
}

TEST(plugins_normalise_and_gate_with_packed_weights) {
  const test::PackedMatrix weight = test::packed(gatedFormat, 24, 64);
  const auto engine = test::load(test::planOf(
      OnnxModel()
          .input("x", {1, 64}, f16)
          .input("w", {wordsOf(weight)}, OnnxType::int32)
          .input("norm", {64}, f16)
          .output("y", f16)
          .node("QuantizedLinear", {"x", "w", "norm"}, {"y"}, "linear",
                packedAttributes(24, 64, 1).integer("has_norm", 1).real("epsilon", 0).text("activation", "silu"))));
  CHECK_EQUAL(trt::shapeText(engine->outputs().at(0).dims), "[1, 12]");
  trt::BoundExecution bound(engine, {{1, 64}, {wordsOf(weight)}, {64}}, {}, "test");
  fill(bound, "x", test::halves(std::vector<float>(64, 3)));
  fill(bound, "w", weight.words);
  fill(bound, "norm", test::halves(std::vector<float>(64, 0.125F)));
  run(bound);
  const std::vector<float> y = halvesOf(bound);
  const std::vector<float> normed(64, 0.125F);
  for (std::size_t i = 0; i < 12; ++i) {
    const float gate = product(normed, 0, weight, i, 64);
    const float up = product(normed, 0, weight, i + 12, 64);
    CHECK(std::fabs(y[i] - gate / (1 + std::exp(-gate)) * up) <= 2e-3F);
  }
}

TEST(plugins_gather_rows_of_packed_tables) {
  const test::PackedMatrix table = test::packed(format, 20, 40);
  const auto engine = test::load(test::planOf(OnnxModel()
                                                  .input("tokens", {3}, OnnxType::int32)
                                                  .input("table", {wordsOf(table)}, OnnxType::int32)
                                                  .output("y", OnnxType::bfloat16)
                                                  .node("QuantizedEmbed", {"tokens", "table"}, {"y"}, "embed",
                                                        packedAttributes(20, 40).text("type", "bfloat16"))));
  CHECK_EQUAL(trt::shapeText(engine->outputs().at(0).dims), "[3, 40]");
  trt::BoundExecution bound(engine, {{3}, {wordsOf(table)}}, {}, "test");
  fill<std::int32_t>(bound, "tokens", {19, 20, 2});
  fill(bound, "table", table.words);
  run(bound);
  std::vector<float> expected(table.values.end() - 40, table.values.end());
  expected.resize(80);
  expected.insert(expected.end(), table.values.begin() + 80, table.values.begin() + 120);
  CHECK(test::elements<std::uint16_t>(*bound.outputs().at(0)) == test::bfloats(expected));
}

TEST(plugins_unpack_for_products_of_many_rows) {
  for (const auto& [packedFormat, gated] : {std::pair(format, 0), std::pair(gatedFormat, 1)}) {
    const test::PackedMatrix weight = test::packed(packedFormat, 36, 100);
    const auto engine = test::load(test::planOf(
        OnnxModel()
            .input("w", {wordsOf(weight)}, OnnxType::int32)
            .output("y", f16)
            .node("Unpack", {"w"}, {"y"}, "unpack", packedAttributes(36, 100, gated).text("type", "float16"))));
    CHECK_EQUAL(trt::shapeText(engine->outputs().at(0).dims), "[36, 100]");
    trt::BoundExecution bound(engine, {{wordsOf(weight)}}, {}, "test");
    fill(bound, "w", weight.words);
    run(bound);
    CHECK(halvesOf(bound) == weight.values);
  }
}

TEST(plugins_refuse_packed_matrices_of_other_sizes_and_forms) {
  const auto model = [](std::int64_t words, const OnnxAttributes& attributes) {
    return OnnxModel()
        .input("x", {1, 40}, f16)
        .input("w", {words}, OnnxType::int32)
        .output("y", f16)
        .node("QuantizedLinear", {"x", "w"}, {"y"}, "linear", attributes);
  };
  const auto words = static_cast<std::int64_t>(tensorrt_node::kernels::quantizedBytes(format, 20, 40) / 4);
  CHECK(failure(model(words - 64, packedAttributes(20, 40))).find("of weight") != std::string::npos);
  CHECK(failure(model(words, packedAttributes(20, 48))).find("dimension 1 of x") != std::string::npos);
  CHECK(failure(model(words, packedAttributes(20, 40, 1))).find("gates and ups") != std::string::npos);
  CHECK(failure(model(words, packedAttributes(20, 40).integer("block", 48))).find("no kernel") != std::string::npos);
  CHECK(failure(model(words, packedAttributes(20, 40).text("codes", "uint5"))).find("must be one of 'uint4'") !=
        std::string::npos);
}
