// Collecting what the GPU does: started and stopped on a thread, as CUPTI takes its time for both.
#include "profiler.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "../cuda/driver.h"
#include "../profile/collector.h"
#include "errors.h"
#include "instance.h"
#include "unwrap.h"

namespace tensorrt_node::binding {
namespace {

using profile::Collector;

// A collection that ends with the environment that began it, however that ends.
class Collection final : public Stoppable {
 public:
  explicit Collection(std::uint64_t number) : number_(number) {}
  ~Collection() override { stop(); }

  void stop() override { Collector::instance().stop(number_); }
  std::uint64_t number() const noexcept { return number_; }

 private:
  const std::uint64_t number_;
};

// What JavaScript holds of it.
class CollectionObject final : public Napi::ObjectWrap<CollectionObject> {
 public:
  static constexpr const char* kName = "Collection";
  static constexpr napi_type_tag kTag{0x5f1f0b7c92d94e0bULL, 0x9a6d3c1e84b75f26ULL};
  static Napi::Function define(Napi::Env env) { return DefineClass(env, kName, {}); }

  explicit CollectionObject(const Napi::CallbackInfo& info) : ObjectWrap(info) {
    info.This().As<Napi::Object>().TypeTag(&kTag);
  }

  void hold(std::shared_ptr<Collection> collection) { collection_ = std::move(collection); }
  const std::shared_ptr<Collection>& collection() const {
    if (collection_ == nullptr) throw DisposedError("the collection never began");
    return collection_;
  }

 private:
  std::shared_ptr<Collection> collection_;
};

profile::CollectorOptions read(const Napi::Object& given) {
  profile::CollectorOptions options;
  const auto libraries = given.Get("libraries").As<Napi::Array>();
  for (std::uint32_t i = 0; i < libraries.Length(); ++i)
    options.libraries.push_back(libraries.Get(i).As<Napi::String>().Utf8Value());
  options.origin = given.Get("origin").As<Napi::Number>().Int64Value();
  options.graphNodes = given.Get("graphNodes").As<Napi::Boolean>().Value();
  options.ranges = given.Get("ranges").As<Napi::Boolean>().Value();
  options.byEvents = given.Get("byEvents").As<Napi::Boolean>().Value();
  options.mostActivities = byteCount(given.Get("maxActivities"));
  return options;
}

std::shared_ptr<Collection> begin(const profile::CollectorOptions& options) {
  try {
    return std::make_shared<Collection>(Collector::instance().start(options));
  } catch (const profile::BusyError& error) {
    throw BusyError(error.what());
  }
}

// As numbers: of each step its own, its model's in `models`, its phase, rows, begin, end, bytes read, and how many
// requests there are, then of each its number and tokens.
std::vector<double> pack(const std::deque<profile::StepRecord>& steps, std::vector<std::string>& models) {
  std::vector<double> packed;
  for (const profile::StepRecord& step : steps) {
    auto model = std::find(models.begin(), models.end(), *step.model);
    if (model == models.end()) model = models.insert(model, *step.model);
    packed.insert(packed.end(), {static_cast<double>(step.number), static_cast<double>(model - models.begin()),
                                 static_cast<double>(step.phase), static_cast<double>(step.rows),
                                 static_cast<double>(step.begin), static_cast<double>(step.end),
                                 static_cast<double>(step.bytesRead), static_cast<double>(step.requests.size())});
    for (const profile::ServedRequest& each : step.requests) {
      packed.push_back(static_cast<double>(each.number));
      packed.push_back(static_cast<double>(each.tokens));
    }
  }
  return packed;
}

template <typename Value>
Napi::ArrayBuffer bufferOf(Napi::Env env, const std::vector<Value>& values) {
  const std::size_t bytes = values.size() * sizeof(Value);
  Napi::ArrayBuffer buffer = Napi::ArrayBuffer::New(env, bytes);
  if (bytes > 0) std::memcpy(buffer.Data(), values.data(), bytes);
  return buffer;
}

Napi::Array arrayOf(Napi::Env env, const std::vector<std::string>& texts) {
  Napi::Array array = Napi::Array::New(env);
  for (const std::string& each : texts) array.Set(array.Length(), Napi::String::New(env, each));
  return array;
}

}  // namespace

Napi::Value startProfiler(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&]() -> Napi::Value {
    if (const cuda::LoadOutcome outcome = cuda::load(); !outcome.ready())
      throw cuda::CudaError(CUDA_ERROR_NOT_INITIALIZED, "cuInit", outcome.problem, outcome.hint);
    Instance& instance = Instance::of(env);
    const auto given = info[0].As<Napi::Object>();
    return instance.run(given, [&instance, options = read(given)]() -> Instance::MakeValue {
      const std::shared_ptr<Collection> collection = begin(options);
      return [&instance, collection](Napi::Env made) -> Napi::Value {
        // CUPTI takes itself apart at the end of the process, so its collection ends before.
        static std::once_flag opened;
        std::call_once(opened, Instance::stopAllAtExit);
        instance.stopAtEnd(collection);
        const Napi::Object object = instance.classOf<CollectionObject>(made).New({});
        CollectionObject::Unwrap(object)->hold(collection);
        const profile::CollectorInfo opening = Collector::instance().info();
        Napi::Object result = Napi::Object::New(made);
        result.Set("collection", object);
        result.Set("library", Napi::String::New(made, opening.library));
        result.Set("version", Napi::Number::New(made, opening.version));
        return result;
      };
    });
  });
}

Napi::Value stopProfiler(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&]() -> Napi::Value {
    const auto collection = unwrap<CollectionObject>(info[0]).collection();
    return Instance::of(env).run(info[0].As<Napi::Object>(), [collection]() -> Instance::MakeValue {
      collection->stop();
      return {};
    });
  });
}

Napi::Value takeActivities(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&]() -> Napi::Value {
    const auto collection = unwrap<CollectionObject>(info[0]).collection();
    const profile::TakenActivities taken = Collector::instance().take(collection->number(), byteCount(info[1]));
    std::vector<std::string> models;
    Napi::Object result = Napi::Object::New(env);
    result.Set("records", bufferOf(env, taken.activities));
    result.Set("names", arrayOf(env, taken.names));
    result.Set("steps", bufferOf(env, pack(taken.steps, models)));
    result.Set("models", arrayOf(env, models));
    result.Set("dropped", Napi::Number::New(env, static_cast<double>(taken.dropped)));
    return result;
  });
}

}  // namespace tensorrt_node::binding
