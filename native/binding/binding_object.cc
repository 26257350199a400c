#include "binding_object.h"

#include <exception>
#include <optional>
#include <utility>

#include "completions.h"
#include "engine_info.h"
#include "errors.h"
#include "instance.h"
#include "unwrap.h"

namespace tensorrt_node::binding {

// Outlives the object while a run is under way.
class BindingObject::Bound final : public Completion {
 public:
  explicit Bound(Parts parts) : execution_(std::move(parts.execution)), activity_(std::move(parts.activity)) {}

  tensorrt::BoundExecution& execution() noexcept { return *execution_; }
  BindingActivity& activity() noexcept { return *activity_; }
  bool underWay() const noexcept { return underWay_; }

  // A run was queued.
  Napi::Promise begin(Napi::Env env) {
    underWay_ = true;
    ++activity_->runs;
    deferred_.emplace(Napi::Promise::Deferred::New(env));
    return deferred_->Promise();
  }

  bool over() noexcept override {
    try {
      return execution_->over();
    } catch (...) {
      error_ = std::current_exception();
      return true;
    }
  }

  void settle(Napi::Env env) override {
    underWay_ = false;
    --activity_->runs;
    std::exception_ptr error = std::exchange(error_, nullptr);
    try {
      if (!error) execution_->finish();
    } catch (...) {
      error = std::current_exception();
    }
    if (!deferred_) return;
    const Napi::Promise::Deferred deferred = *std::exchange(deferred_, std::nullopt);
    if (error) {
      deferred.Reject(toJavaScript(env, error).Value());
    } else {
      deferred.Resolve(env.Undefined());
    }
  }

  // Nobody waits for the run under way any more.
  void abandon(Napi::Env env) {
    if (!deferred_) return;
    const auto error = std::make_exception_ptr(DisposedError("the binding is disposed"));
    std::exchange(deferred_, std::nullopt)->Reject(toJavaScript(env, error).Value());
  }

 private:
  const std::unique_ptr<tensorrt::BoundExecution> execution_;
  const std::shared_ptr<BindingActivity> activity_;
  std::optional<Napi::Promise::Deferred> deferred_;
  std::exception_ptr error_;
  bool underWay_ = false;
};

Napi::Function BindingObject::define(Napi::Env env) {
  return DefineClass(env, kName,
                     {
                         InstanceMethod<&BindingObject::outputDims>("outputDims"),
                         InstanceMethod<&BindingObject::run>("run"),
                         InstanceMethod<&BindingObject::runSync>("runSync"),
                         InstanceMethod<&BindingObject::gpuMilliseconds>("gpuMilliseconds"),
                         InstanceMethod<&BindingObject::dispose>("dispose"),
                     });
}

BindingObject::BindingObject(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  auto object = info.This().As<Napi::Object>();
  object.TypeTag(&kTag);
  guarded(info.Env(), [&] {
    if (!info[0].IsExternal()) throw std::invalid_argument("bindings are made by bind()");
    bound_ = std::make_shared<Bound>(std::move(*info[0].As<Napi::External<Parts>>().Data()));
    const tensorrt::BoundExecution& execution = bound_->execution();
    object.DefineProperties({
        Napi::PropertyDescriptor::Value("inputs", wrap(info.Env(), execution.inputs()), napi_enumerable),
        Napi::PropertyDescriptor::Value("outputs", wrap(info.Env(), execution.outputs()), napi_enumerable),
        Napi::PropertyDescriptor::Value("graph", Napi::Boolean::New(info.Env(), execution.usesGraph()),
                                        napi_enumerable),
    });
  });
}

Napi::Array BindingObject::wrap(Napi::Env env, const std::vector<std::shared_ptr<cuda::PinnedBlock>>& blocks) {
  Napi::Array array = Napi::Array::New(env, blocks.size());
  for (std::uint32_t i = 0; i < blocks.size(); ++i) {
    // JavaScript has no empty buffers of foreign memory.
    const Napi::ArrayBuffer buffer =
        blocks[i]->size() == 0 ? Napi::ArrayBuffer::New(env, 0) : Instance::of(env).pinned().wrap(env, blocks[i]);
    buffers_.push_back(Napi::Persistent(buffer));
    array.Set(i, buffer);
  }
  return array;
}

BindingObject::Bound& BindingObject::bound() const {
  if (bound_ == nullptr) throw DisposedError("the binding is disposed");
  return *bound_;
}

BindingObject::Bound& BindingObject::idle() const {
  Bound& each = bound();
  if (each.underWay()) throw BusyError("a run of the binding is under way");
  if (each.activity().refitting) throw BusyError("the engine is being refitted");
  return each;
}

Napi::Value BindingObject::outputDims(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    const std::vector<tensorrt::Shape>& dims = bound().execution().outputDims();
    Napi::Array result = Napi::Array::New(info.Env(), dims.size());
    for (std::uint32_t i = 0; i < dims.size(); ++i) result.Set(i, dimsArray(info.Env(), dims[i]));
    return result;
  });
}

Napi::Value BindingObject::run(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    Bound& each = idle();
    Completions& completions = Instance::of(info.Env()).completions(info.Env());
    each.execution().launch();
    const Napi::Promise promise = each.begin(info.Env());
    completions.watch(bound_);
    return promise;
  });
}

void BindingObject::runSync(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] {
    tensorrt::BoundExecution& execution = idle().execution();
    execution.launch();
    execution.wait();
  });
}

Napi::Value BindingObject::gpuMilliseconds(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] { return Napi::Number::New(info.Env(), idle().execution().gpuMilliseconds()); });
}

void BindingObject::dispose(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] {
    if (bound_ == nullptr) return;
    for (const auto& each : buffers_) {
      Napi::ArrayBuffer buffer = each.Value();
      Instance::of(info.Env()).pinned().release(buffer);
    }
    buffers_.clear();
    bound_->abandon(info.Env());
    // A run under way keeps it, and its memory, until it is over.
    bound_.reset();
  });
}

}  // namespace tensorrt_node::binding
