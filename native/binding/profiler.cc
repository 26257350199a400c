// Collecting what the GPU does: started and stopped on a thread, as CUPTI takes its time for both.
#include "profiler.h"

#include <cstdint>
#include <cstring>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

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
    const std::size_t bytes = taken.activities.size() * sizeof(profile::Activity);
    Napi::ArrayBuffer records = Napi::ArrayBuffer::New(env, bytes);
    if (bytes > 0) std::memcpy(records.Data(), taken.activities.data(), bytes);
    Napi::Array names = Napi::Array::New(env);
    for (const std::string& name : taken.names) names.Set(names.Length(), Napi::String::New(env, name));
    Napi::Object result = Napi::Object::New(env);
    result.Set("records", records);
    result.Set("names", names);
    result.Set("dropped", Napi::Number::New(env, static_cast<double>(taken.dropped)));
    return result;
  });
}

}  // namespace tensorrt_node::binding
