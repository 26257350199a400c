// Typed arrays in, typed arrays filled. Arguments are checked in lib/quantize; sizes once more where they are used.
#include "quantize.h"

#include <cstddef>
#include <cstdint>
#include <string>

#include "../quantize/gptq.h"
#include "../quantize/hessian.h"
#include "../quantize/matrix.h"
#include "../quantize/round_to_nearest.h"
#include "../quantize/scaled_columns.h"
#include "quantize_arguments.h"

namespace tensorrt_node::binding {
namespace {

using namespace quantize;

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
    return
        [hessian = floatsIn(object, "hessian"), size = integerIn(object, "size"), damping = realIn(object, "damping"),
         threads = threadsIn(object)] { factorize(hessian, size, damping, threads); };
  });
}

Napi::Value gptqRows(const Napi::CallbackInfo& info) {
  return onThread(info, [](const Napi::Object& object) {
    return [weights = gptqWeightsIn(object), factor = floatsIn(object, "factor"), places = integersIn(object, "order"),
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
