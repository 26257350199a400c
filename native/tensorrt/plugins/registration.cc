#include "registration.h"

#include <NvInferRuntime.h>
#include <dlfcn.h>

#include <deque>
#include <memory>
#include <mutex>
#include <string>

#include "../error.h"
#include "../logger.h"
#include "attention.h"
#include "creator.h"
#include "embed.h"
#include "gated_activation.h"
#include "linear.h"
#include "plugin.h"
#include "rms_norm.h"
#include "unpack.h"

namespace tensorrt_node::tensorrt::plugins {
namespace {

// The registry keeps pointers to the creators: they are never destroyed, nor is this library unloaded, as it would be
// with the last worker thread that uses it.
std::deque<Creator>& creators() {
  static std::deque<Creator>& all = *std::make_unique<std::deque<Creator>>().release();
  return all;
}

void keepThisLibrary() noexcept {
  Dl_info self{};
  if (::dladdr(reinterpret_cast<const void*>(&registerOperators), &self) == 0 || self.dli_fname == nullptr) return;
  // The handle is a reference that is never given back.
  static_cast<void>(::dlopen(self.dli_fname, RTLD_NOW | RTLD_NOLOAD | RTLD_NODELETE));
}

}  // namespace

void registerOperators(const Libraries& libraries) {
  static std::mutex mutex;
  static bool done = false;
  const std::lock_guard lock(mutex);
  if (done) return;
  const LogCapture log;
  const auto registryOf = libraries.infer<decltype(::getPluginRegistry)>("getPluginRegistry");
  nvinfer1::IPluginRegistry* const registry = registryOf();
  if (registry == nullptr) throw TensorrtError("getPluginRegistry", log.explain("TensorRT has no plugin registry"));
  keepThisLibrary();
  for (const auto& type : {Embed::type(), Embed::quantizedType(), RmsNorm::type(), GatedActivation::type(),
                           Linear::type(), Linear::quantizedType(), Unpack::type(), Attention::type()}) {
    // Those that an earlier call registered before it failed.
    if (registry->getCreator(type.name, kVersion, kNamespace) != nullptr) continue;
    if (!registry->registerCreator(creators().emplace_back(type), kNamespace))
      throw TensorrtError("IPluginRegistry::registerCreator",
                          log.explain(std::string("TensorRT refuses plugin ") + type.name));
  }
  done = true;
}

}  // namespace tensorrt_node::tensorrt::plugins
