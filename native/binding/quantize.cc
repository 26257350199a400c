// Typed arrays in, typed arrays filled. Arguments are checked in lib/quantize; sizes once more where they are used.
#include "quantize.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>

#include "../quantize/gptq.h"
#include "../quantize/hessian.h"
#include "../quantize/matrix.h"
#include "../quantize/round_to_nearest.h"
#include "../quantize/scaled_columns.h"
#include "errors.h"
#include "instance.h"

namespace tensorrt_node::binding {
namespace {

using namespace quantize;

std::span<std::byte> bytesIn(const Napi::Object& object, const char* name) {
  const Napi::Value value = object.Get(name);
  if (!value.IsTypedArray()) return {};
  const auto array = value.As<Napi::TypedArray>();
  return {static_cast<std::byte*>(array.ArrayBuffer().Data()) + array.ByteOffset(), array.ByteLength()};
}

std::span<float> floatsIn(const Napi::Object& object, const char* name) {
  const std::span<std::byte> bytes = bytesIn(object, name);
  return {reinterpret_cast<float*>(bytes.data()), bytes.size() / sizeof(float)};
}

std::int64_t integerIn(const Napi::Object& object, const char* name) {
  return object.Get(name).As<Napi::Number>().Int64Value();
}

std::string wordIn(const Napi::Object& object, const char* name) {
  return object.Get(name).As<Napi::String>().Utf8Value();
}

bool flagIn(const Napi::Object& object, const char* name) {
  return object.Get(name).ToBoolean();
}

FloatType floatType(const std::string& word) {
  if (word == "float32") return FloatType::float32;
  if (word == "float16") return FloatType::float16;
  if (word == "bfloat16") return FloatType::bfloat16;
  throw std::invalid_argument(word + " is no type of floats");
}

CodeKind codeKind(const std::string& word) {
  if (word == "symmetric") return CodeKind::symmetric;
  if (word == "zeroPoints") return CodeKind::zeroPoints;
  if (word == "int8Rows") return CodeKind::int8Rows;
  if (word == "float8Rows") return CodeKind::float8Rows;
  throw std::invalid_argument(word + " is no kind of codes");
}

Format formatIn(const Napi::Object& object) {
  const auto format = object.Get("format").As<Napi::Object>();
  return {.kind = codeKind(wordIn(format, "kind")),
          .bits = static_cast<int>(integerIn(format, "bits")),
          .block = integerIn(format, "block"),
          .scales = floatType(wordIn(format, "scales")),
          .search = flagIn(format, "search")};
}

QuantizedRows rowsIn(const Napi::Object& object) {
  return {bytesIn(object, "codes"), bytesIn(object, "scales"), bytesIn(object, "zeroPoints")};
}

Threads threadsIn(const Napi::Object& object) {
  const std::span<std::byte> stop = bytesIn(object, "stop");
  return {static_cast<unsigned>(integerIn(object, "threads")),
          // JavaScript writes it with Atomics.
          stop.empty() ? nullptr : reinterpret_cast<const std::atomic<std::int32_t>*>(stop.data())};
}

DenseMatrix denseIn(const Napi::Object& object) {
  return {bytesIn(object, "data"), floatType(wordIn(object, "type")), integerIn(object, "outer"),
          integerIn(object, "inner"), flagIn(object, "transposed")};
}

BlockMatrix blocksIn(const Napi::Object& object) {
  using ZeroPoints = BlockMatrix::ZeroPoints;
  const std::string zeros = wordIn(object, "zeroPointType");
  return {.codes = bytesIn(object, "codes"),
          .scales = bytesIn(object, "scales"),
          .scaleType = floatType(wordIn(object, "scaleType")),
          .zeroPointKind = zeros == "none"    ? ZeroPoints::none
                           : zeros == "codes" ? ZeroPoints::codes
                                              : ZeroPoints::floats,
          .zeroPoints = bytesIn(object, "zeroPoints"),
          .zeroPointType = zeros == "none" || zeros == "codes" ? FloatType::float32 : floatType(zeros),
          .outer = integerIn(object, "outer"),
          .inner = integerIn(object, "inner"),
          .bits = static_cast<int>(integerIn(object, "bits")),
          .block = integerIn(object, "block")};
}

// Runs what `prepare` makes of the first argument on a thread; the argument, and with it all arrays, is kept meanwhile.
template <typename Prepare>
Napi::Value onThread(const Napi::CallbackInfo& info, Prepare&& prepare) {
  const Napi::Env env = info.Env();
  return guarded(env, [&]() -> Napi::Value {
    const auto argument = info[0].As<Napi::Object>();
    std::function<void()> work = prepare(argument);
    return Instance::of(env).run(argument, [work = std::move(work)]() -> Instance::MakeValue {
      work();
      return [](Napi::Env made) { return made.Undefined(); };
    });
  });
}

Napi::Value quantizeRows(const Napi::CallbackInfo& info) {
  return onThread(info, [](const Napi::Object& object) {
    return [matrix = denseIn(object), format = formatIn(object), importance = floatsIn(object, "importance"),
            rows = rowsIn(object),
            threads = threadsIn(object)] { roundToNearest(matrix, format, importance, rows, threads); };
  });
}

Napi::Value readDenseRows(const Napi::CallbackInfo& info) {
  return onThread(info, [](const Napi::Object& object) {
    return [matrix = denseIn(object), values = floatsIn(object, "values"), threads = threadsIn(object)] {
      toFloats(matrix, values, threads);
    };
  });
}

Napi::Value readBlockRows(const Napi::CallbackInfo& info) {
  return onThread(info, [](const Napi::Object& object) {
    return [matrix = blocksIn(object), values = floatsIn(object, "values"), threads = threadsIn(object)] {
      toFloats(matrix, values, threads);
    };
  });
}

Napi::Value readQuantizedRows(const Napi::CallbackInfo& info) {
  return onThread(info, [](const Napi::Object& object) {
    return [rows = rowsIn(object), format = formatIn(object), outer = integerIn(object, "outer"),
            inner = integerIn(object, "inner"), values = floatsIn(object, "values"),
            threads = threadsIn(object)] { readRows(rows, format, outer, inner, values, threads); };
  });
}

Napi::Value addGramRows(const Napi::CallbackInfo& info) {
  return onThread(info, [](const Napi::Object& object) {
    return [hessian = floatsIn(object, "hessian"), size = integerIn(object, "size"), rows = floatsIn(object, "rows"),
            threads = threadsIn(object)] { addGram(hessian, size, rows, threads); };
  });
}

Napi::Value mirrorHessian(const Napi::CallbackInfo& info) {
  return onThread(info, [](const Napi::Object& object) {
    return [hessian = floatsIn(object, "hessian"), size = integerIn(object, "size")] { mirror(hessian, size); };
  });
}

Napi::Value factorizeHessian(const Napi::CallbackInfo& info) {
  return onThread(info, [](const Napi::Object& object) {
    return [hessian = floatsIn(object, "hessian"), size = integerIn(object, "size"),
            damping = object.Get("damping").As<Napi::Number>().FloatValue(),
            threads = threadsIn(object)] { factorize(hessian, size, damping, threads); };
  });
}

Napi::Value gptqRows(const Napi::CallbackInfo& info) {
  return onThread(info, [](const Napi::Object& object) {
    const std::span<std::byte> order = bytesIn(object, "order");
    return [weights = GptqWeights{floatsIn(object, "values"), integerIn(object, "outer"), integerIn(object, "inner")},
            factor = floatsIn(object, "factor"),
            places = std::span(reinterpret_cast<const std::int32_t*>(order.data()), order.size() / 4),
            format = formatIn(object), rows = rowsIn(object),
            threads = threadsIn(object)] { gptq(weights, factor, places, format, rows, threads); };
  });
}

Napi::Value scaleColumnsOf(const Napi::CallbackInfo& info) {
  return onThread(info, [](const Napi::Object& object) {
    return [values = floatsIn(object, "values"), factors = floatsIn(object, "factors"), threads = threadsIn(object)] {
      scaleColumns(values, factors, threads);
    };
  });
}

Napi::Value scaledErrorOf(const Napi::CallbackInfo& info) {
  return onThread(info, [](const Napi::Object& object) {
    const auto error = reinterpret_cast<double*>(bytesIn(object, "error").data());
    return [values = floatsIn(object, "values"), hessian = floatsIn(object, "hessian"),
            factors = floatsIn(object, "factors"), stride = integerIn(object, "stride"), format = formatIn(object),
            threads = threadsIn(object),
            error] { *error = scaledError(values, hessian, factors, stride, format, threads); };
  });
}

}  // namespace

void defineQuantize(Napi::Env env, Napi::Object exports) {
  exports.Set("quantizeRows", Napi::Function::New<quantizeRows>(env, "quantizeRows"));
  exports.Set("addGram", Napi::Function::New<addGramRows>(env, "addGram"));
  exports.Set("mirror", Napi::Function::New<mirrorHessian>(env, "mirror"));
  exports.Set("factorize", Napi::Function::New<factorizeHessian>(env, "factorize"));
  exports.Set("gptq", Napi::Function::New<gptqRows>(env, "gptq"));
  exports.Set("scaleColumns", Napi::Function::New<scaleColumnsOf>(env, "scaleColumns"));
  exports.Set("scaledError", Napi::Function::New<scaledErrorOf>(env, "scaledError"));
  exports.Set("readDenseRows", Napi::Function::New<readDenseRows>(env, "readDenseRows"));
  exports.Set("readQuantizedRows", Napi::Function::New<readQuantizedRows>(env, "readQuantizedRows"));
  exports.Set("readBlockRows", Napi::Function::New<readBlockRows>(env, "readBlockRows"));
}

}  // namespace tensorrt_node::binding
