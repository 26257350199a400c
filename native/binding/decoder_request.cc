#include "decoder_request.h"

#include <memory>
#include <stdexcept>

#include "../kernels/cache_type_name.h"
#include "../tensorrt/plugins/packed_matrix.h"
#include "build_request.h"
#include "unwrap.h"

namespace tensorrt_node::binding {
namespace {

kernels::ElementType elementType(const std::string& name) {
  if (name == "float16") return kernels::ElementType::float16;
  if (name == "bfloat16") return kernels::ElementType::bfloat16;
  if (name == "float32") return kernels::ElementType::float32;
  throw std::invalid_argument("a type is 'float16', 'bfloat16' or 'float32'");
}

Napi::Object objectOf(const Napi::Object& object, const char* name) {
  const Napi::Value value = object.Get(name);
  if (!value.IsObject()) throw std::invalid_argument(std::string(name) + ": expected an object");
  return value.As<Napi::Object>();
}

template <typename Each>
void forEach(const Napi::Object& object, const char* name, Each&& each) {
  const Napi::Value value = object.Get(name);
  if (!value.IsArray()) throw std::invalid_argument(std::string(name) + ": expected an array");
  const auto array = value.As<Napi::Array>();
  for (std::uint32_t i = 0; i < array.Length(); ++i) {
    const Napi::Value entry = array.Get(i);
    if (!entry.IsObject()) throw std::invalid_argument(std::string(name) + ": expected objects");
    each(entry.As<Napi::Object>());
  }
}

weights::Source sourceOf(const Napi::Object& object) {
  weights::Source source;
  if (!object.Get("inline").IsUndefined()) {
    const auto bytes = bytesOf(object, "inline");
    source.inlined = std::make_shared<const std::vector<std::byte>>(bytes.begin(), bytes.end());
    source.bytes = bytes.size();
    return source;
  }
  source.path = textOf(object, "path");
  source.offset = byteCount(object.Get("offset"));
  source.bytes = byteCount(object.Get("bytes"));
  return source;
}

weights::StoredCodes storedCodes(const std::string& name) {
  if (name == "uint4") return weights::StoredCodes::uint4;
  if (name == "int4") return weights::StoredCodes::int4;
  if (name == "uint8") return weights::StoredCodes::uint8;
  if (name == "int8") return weights::StoredCodes::int8;
  if (name == "float8") return weights::StoredCodes::float8;
  throw std::invalid_argument("codes are 'uint4', 'int4', 'uint8', 'int8' or 'float8'");
}

weights::Piece pieceOf(const Napi::Object& object) {
  weights::Piece piece;
  piece.rows = static_cast<std::int64_t>(byteCount(object.Get("rows")));
  piece.values = sourceOf(objectOf(object, "values"));
  const std::string form = textOf(object, "form");
  if (form != "quantized") {
    piece.form = form == "transposed" ? weights::Form::transposed : weights::Form::plain;
    piece.stored = elementType(textOf(object, "stored"));
    return piece;
  }
  piece.form = weights::Form::quantized;
  piece.stored = elementType(textOf(object, "scaleType"));
  piece.codes = storedCodes(textOf(object, "codes"));
  piece.block = static_cast<std::int64_t>(byteCount(object.Get("blockSize")));
  piece.otherWay = object.Get("transposed").ToBoolean();
  piece.scales = sourceOf(objectOf(object, "scales"));
  if (object.Get("zeroPoints").IsUndefined()) return piece;
  const Napi::Object zeroPoints = objectOf(object, "zeroPoints");
  piece.zeroPoints = sourceOf(objectOf(zeroPoints, "values"));
  if (const std::string type = textOf(zeroPoints, "type"); type != "codes") piece.zeroPointType = elementType(type);
  return piece;
}

kernels::QuantizedFormat formatOf(const Napi::Object& object) {
  return {.codes = tensorrt::plugins::codeTypeNamed(textOf(object, "codes")),
          .offsets = tensorrt::plugins::offsetsNamed(textOf(object, "offsets")),
          .block = integerOf(object, "block"),
          .gated = object.Get("gated").ToBoolean() ? 1 : 0};
}

weights::Matrix matrixOf(const Napi::Object& object) {
  weights::Matrix matrix{.name = textOf(object, "name"),
                         .type = elementType(textOf(object, "type")),
                         .columns = static_cast<std::int64_t>(byteCount(object.Get("columns"))),
                         .pieces = {}};
  forEach(object, "pieces", [&](const Napi::Object& piece) { matrix.pieces.push_back(pieceOf(piece)); });
  if (!object.Get("packed").IsUndefined()) {
    const Napi::Object packed = objectOf(object, "packed");
    matrix.packed = formatOf(packed);
    // Plans were built for as many: both sides must lay it out alike.
    if (matrix.bytes() != byteCount(packed.Get("bytes")))
      throw std::invalid_argument(matrix.name + ": is packed in " + std::to_string(matrix.bytes()) + " bytes, not " +
                                  std::to_string(byteCount(packed.Get("bytes"))));
  }
  weights::check(matrix);
  return matrix;
}

decode::PartRun runOf(const Napi::Object& object) {
  decode::PartRun run{.part = byteCount(object.Get("part")),
                      .layer = object.Get("layer").IsUndefined() ? -1 : integerOf(object, "layer"),
                      .weights = {}};
  forEach(object, "weights", [&](const Napi::Object& weight) {
    run.weights.push_back({.name = textOf(weight, "name"), .weight = byteCount(weight.Get("weight"))});
  });
  return run;
}

weights::Tier tierOf(const std::string& name) {
  if (name == "vram") return weights::Tier::vram;
  if (name == "ram") return weights::Tier::ram;
  if (name == "disk") return weights::Tier::disk;
  throw std::invalid_argument("placement: a tier is 'vram', 'ram' or 'disk'");
}

// All in VRAM where nothing else is asked for.
std::vector<weights::StoreRun> placementOf(const Napi::Object& request, const std::vector<decode::PartRun>& runs) {
  std::vector<weights::StoreRun> placement(runs.size());
  for (std::size_t run = 0; run < runs.size(); ++run)
    for (const decode::WeightInput& input : runs[run].weights) placement[run].weights.push_back(input.weight);
  const Napi::Value given = request.Get("placement");
  if (given.IsUndefined()) return placement;
  if (!given.IsArray() || given.As<Napi::Array>().Length() != runs.size())
    throw std::invalid_argument("placement: expected a tier for each entry of sequence");
  const auto tiers = given.As<Napi::Array>();
  for (std::uint32_t run = 0; run < tiers.Length(); ++run)
    placement[run].tier = tierOf(tiers.Get(run).ToString().Utf8Value());
  if (placement.front().tier == weights::Tier::disk || placement.back().tier != weights::Tier::vram)
    throw std::invalid_argument("placement: a prologue must be in VRAM or RAM, an epilogue in VRAM");
  return placement;
}

float numberOf(const Napi::Object& object, const char* name) {
  return object.Get(name).ToNumber().FloatValue();
}

}  // namespace

DecoderRequest decoderRequest(const Napi::Object& request) {
  DecoderRequest made;
  made.device = integerOf(request, "device");
  if (!request.Get("name").IsUndefined()) made.options.model = textOf(request, "name");
  made.candidates = textsOf(request, "tensorrt");
  decode::DecoderModel& model = made.model;
  model.type = elementType(textOf(request, "type"));
  model.layers = integerOf(request, "layers");
  model.kvHeads = integerOf(request, "kvHeads");
  model.headSize = integerOf(request, "headSize");
  if (!request.Get("kvCacheType").IsUndefined())
    model.cacheType = kernels::cacheTypeNamed(textOf(request, "kvCacheType"));
  model.hiddenSize = integerOf(request, "hiddenSize");
  model.vocabulary = integerOf(request, "vocabularySize");
  forEach(request, "parts", [&](const Napi::Object& part) {
    const auto plan = [&](const char* range) {
      return part.Get(range).IsUndefined() ? std::span<const std::byte>() : bytesOf(part, range);
    };
    made.parts.push_back({.decode = bytesOf(part, "decode"), .wide = plan("wide"), .prefill = plan("prefill")});
  });
  model.parts = made.parts.size();
  forEach(request, "sequence", [&](const Napi::Object& run) { model.runs.push_back(runOf(run)); });
  forEach(request, "weights", [&](const Napi::Object& matrix) { made.weights.push_back(matrixOf(matrix)); });
  for (const weights::Matrix& matrix : made.weights) model.weightBytes.push_back(matrix.bytes());
  if (model.runs.size() < 2) throw std::invalid_argument("sequence: expected a prologue and an epilogue at least");
  for (const decode::PartRun& run : model.runs) {
    if (run.part >= model.parts) throw std::invalid_argument("sequence: no such part");
    for (const decode::WeightInput& input : run.weights)
      if (input.weight >= made.weights.size()) throw std::invalid_argument("sequence: no such weight");
  }

  made.placement = placementOf(request, model.runs);
  if (request.Get("kept").IsArray()) {
    const auto kept = request.Get("kept").As<Napi::Array>();
    for (std::uint32_t i = 0; i < kept.Length(); ++i) made.store.kept.push_back(byteCount(kept.Get(i)));
  }
  if (!request.Get("offloadFolder").IsUndefined()) made.store.offloadFolder = textOf(request, "offloadFolder");
  if (!request.Get("prefetchDepth").IsUndefined())
    made.store.places = static_cast<std::size_t>(integerOf(request, "prefetchDepth"));

  const Napi::Object limits = objectOf(request, "limits");
  const int maxContext = integerOf(limits, "maxContext");
  made.runner.limits = {
      .slots = integerOf(limits, "slots"),
      .pages = integerOf(limits, "pages"),
      .pagesPerSlot = static_cast<std::int32_t>(decode::pagesFor(static_cast<std::size_t>(maxContext))),
      .prefillRows = integerOf(limits, "prefillRows"),
      .decodeRows = integerOf(limits, "decodeRows"),
      .scoreRows = integerOf(limits, "scoreRows"),
      .vocabulary = model.vocabulary};
  made.runner.narrowRows = integerOf(limits, "narrowRows");
  made.options.maxContext = maxContext;
  made.options.maxWaiting = byteCount(limits.Get("maxWaiting"));
  if (request.Get("deterministic").ToBoolean()) {
    made.runner.oneSize = true;
    made.runner.capturedPromptRows = made.options.policy.chunkBesideStreams;
    made.options.policy.fixedChunks = true;
    made.options.reusePrefixes = false;
  }
  return made;
}

std::vector<std::int32_t> tokensOf(const Napi::Value& tokens) {
  if (!tokens.IsTypedArray() || tokens.As<Napi::TypedArray>().TypedArrayType() != napi_int32_array)
    throw std::invalid_argument("tokens: expected an Int32Array");
  const auto array = tokens.As<Napi::Int32Array>();
  return {array.Data(), array.Data() + array.ElementLength()};
}

decode::Sampling samplingOf(const Napi::Object& sampling) {
  decode::Sampling made{.temperature = numberOf(sampling, "temperature"),
                        .topP = numberOf(sampling, "topP"),
                        .minP = numberOf(sampling, "minP"),
                        .repetitionPenalty = numberOf(sampling, "repetitionPenalty"),
                        .presencePenalty = numberOf(sampling, "presencePenalty"),
                        .frequencyPenalty = numberOf(sampling, "frequencyPenalty"),
                        .topK = integerOf(sampling, "topK"),
                        .seed = sampling.Get("seed").ToNumber().Uint32Value(),
                        .bias = {},
                        .stopTokens = tokensOf(sampling.Get("stopTokens")),
                        .logprobs = integerOf(sampling, "logprobs")};
  const std::vector<std::int32_t> biased = tokensOf(sampling.Get("biasTokens"));
  const Napi::Value values = sampling.Get("biasValues");
  if (!values.IsTypedArray() || values.As<Napi::TypedArray>().TypedArrayType() != napi_float32_array ||
      values.As<Napi::TypedArray>().ElementLength() != biased.size())
    throw std::invalid_argument("biasValues: expected a Float32Array as long as biasTokens");
  for (std::size_t i = 0; i < biased.size(); ++i)
    made.bias.emplace_back(biased[i], values.As<Napi::Float32Array>().Data()[i]);
  return made;
}

}  // namespace tensorrt_node::binding
