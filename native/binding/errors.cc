// Which properties each kind of C++ error has in JavaScript.
#include "errors.h"

#include <string>

#include "../cuda/error.h"
#include "../decode/request.h"
#include "../files/error.h"
#include "../quantize/parallel.h"
#include "../tensorrt/error.h"

namespace tensorrt_node::binding {
namespace {

Napi::Error describe(Napi::Env env, const char* code, const std::string& message, const std::string& call,
                     const std::string& hint) {
  Napi::Error error = Napi::Error::New(env, message);
  error.Set("code", Napi::String::New(env, code));
  if (!call.empty()) error.Set("call", Napi::String::New(env, call));
  if (!hint.empty()) error.Set("hint", Napi::String::New(env, hint));
  return error;
}

}  // namespace

Napi::Error toJavaScript(Napi::Env env, std::exception_ptr thrown) {
  try {
    std::rethrow_exception(std::move(thrown));
  } catch (const cuda::CudaError& error) {
    // The hint is a property of its own, so the message goes without it.
    const std::string message = error.call() + " failed with " + error.codeName() + ": " + error.description();
    const char* code = error.result() == CUDA_ERROR_OUT_OF_MEMORY ? "ERR_OUT_OF_MEMORY" : "ERR_CUDA";
    Napi::Error result = describe(env, code, message, error.call(), error.hint());
    result.Set("result", Napi::String::New(env, error.codeName()));
    return result;
  } catch (const tensorrt::UnsupportedError& error) {
    return describe(env, "ERR_UNSUPPORTED", error.what(), {}, error.hint());
  } catch (const tensorrt::AbortedError& error) {
    return describe(env, "ERR_ABORTED", error.what(), {}, {});
  } catch (const tensorrt::TensorrtError& error) {
    return describe(env, "ERR_TENSORRT", error.what(), error.call(), error.hint());
  } catch (const files::FileError& error) {
    // As errors of Node's file system calls.
    Napi::Error result = describe(env, error.codeName().c_str(), error.what(), {}, {});
    result.Set("errno", Napi::Number::New(env, -error.number()));
    result.Set("syscall", Napi::String::New(env, error.call()));
    result.Set("path", Napi::String::New(env, error.path()));
    return result;
  } catch (const DisposedError& error) {
    return describe(env, "ERR_DISPOSED", error.what(), {}, {});
  } catch (const decode::DisposedError& error) {
    return describe(env, "ERR_DISPOSED", error.what(), {}, {});
  } catch (const decode::QueueFullError& error) {
    return describe(env, "ERR_BUSY", error.what(), {}, {});
  } catch (const decode::SuspendedError& error) {
    return describe(env, "ERR_SUSPENDED", error.what(), {}, {});
  } catch (const decode::SamplingError& error) {
    return describe(env, "ERR_BACKEND", error.what(), {}, error.hint());
  } catch (const quantize::StoppedError& error) {
    return describe(env, "ERR_ABORTED", error.what(), {}, {});
  } catch (const std::domain_error& error) {
    // Numbers that there is no way to go on with; whose they are the caller knows.
    return describe(env, "ERR_NUMBERS", error.what(), {}, {});
  } catch (const BusyError& error) {
    return describe(env, "ERR_BUSY", error.what(), {}, {});
  } catch (const std::exception& error) {
    return describe(env, "ERR_ADDON", error.what(), {}, {});
  } catch (...) {
    return describe(env, "ERR_ADDON", "an error of unknown type", {}, {});
  }
}

}  // namespace tensorrt_node::binding
