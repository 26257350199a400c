// What JavaScript asks of number crunching: typed arrays, which are filled in place, and formats.
#pragma once

#include <napi.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <utility>

#include "../quantize/format.h"
#include "../quantize/gptq.h"
#include "../quantize/parallel.h"
#include "errors.h"
#include "instance.h"

namespace tensorrt_node::binding {

// Of a property; empty where it is no typed array. Good as long as the array.
std::span<std::byte> bytesIn(const Napi::Object& object, const char* name);
std::span<float> floatsIn(const Napi::Object& object, const char* name);
std::span<const std::int32_t> integersIn(const Napi::Object& object, const char* name);
std::int64_t integerIn(const Napi::Object& object, const char* name);
float realIn(const Napi::Object& object, const char* name);
std::string wordIn(const Napi::Object& object, const char* name);
bool flagIn(const Napi::Object& object, const char* name);

// Throw std::invalid_argument for words that name nothing.
quantize::FloatType floatType(const std::string& word);
quantize::Format formatIn(const Napi::Object& object);
quantize::QuantizedRows rowsIn(const Napi::Object& object);
quantize::GptqWeights gptqWeightsIn(const Napi::Object& object);
quantize::Threads threadsIn(const Napi::Object& object);

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

}  // namespace tensorrt_node::binding
