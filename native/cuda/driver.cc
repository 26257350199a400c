#include "driver.h"

#include <dlfcn.h>
#include <link.h>

#include <atomic>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <string_view>

#define TENSORRT_NODE_TEXT(name) #name
#define TENSORRT_NODE_SYMBOL(name) TENSORRT_NODE_TEXT(name)

namespace tensorrt_node::cuda {

namespace {

// What destructors of static objects may still call at exit; never destroyed for that reason.
std::atomic<const DriverTable*> loaded{nullptr};

struct CloseLibrary {
  void operator()(void* library) const noexcept { dlclose(library); }
};
using Library = std::unique_ptr<void, CloseLibrary>;

std::string libraryPath(const std::string& path) {
  if (!path.empty()) return path;
  const char* fromEnvironment = std::getenv("TENSORRT_NODE_CUDA_DRIVER");
  return fromEnvironment != nullptr && *fromEnvironment != '\0' ? fromEnvironment : "libcuda.so.1";
}

// cuda.h maps this one to _v2, which only drivers of CUDA 12.8 and later have; the plain one has the same signature.
std::string_view oldestSymbol(std::string_view symbol) {
  return symbol == "cuEventElapsedTime_v2" ? "cuEventElapsedTime" : symbol;
}

template <typename Function>
void find(void* library, std::string_view symbol, Function& function, std::string& missing) {
  const std::string name(oldestSymbol(symbol));
  function = reinterpret_cast<Function>(dlsym(library, name.c_str()));
  if (function == nullptr && missing.empty()) missing = name;
}

LoadOutcome open(const std::string& path, DriverTable& table, Library& library) {
  LoadOutcome outcome{.status = DriverStatus::libraryMissing, .path = path, .problem = {}, .hint = {}};
  library.reset(dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL));
  if (library == nullptr) {
    const char* reason = dlerror();
    outcome.problem = "no CUDA driver: " + std::string(reason == nullptr ? path + " cannot be loaded" : reason);
    outcome.hint =
        "install NVIDIA's driver; in a container, start it with --gpus all and "
        "NVIDIA_DRIVER_CAPABILITIES=compute,utility";
    return outcome;
  }

  // A bare name says nothing of which library it led to.
  link_map* map = nullptr;
  if (dlinfo(library.get(), RTLD_DI_LINKMAP, &map) == 0 && *map->l_name != '\0') outcome.path = map->l_name;

  std::string missing;
#define TENSORRT_NODE_FIND(name) find(library.get(), TENSORRT_NODE_SYMBOL(name), table.name, missing);
  TENSORRT_NODE_DRIVER_FUNCTIONS(TENSORRT_NODE_FIND)
#undef TENSORRT_NODE_FIND
  find(library.get(), "cuStreamGetCaptureInfo_v2", table.cuStreamGetCaptureInfo_v2, missing);
  if (!missing.empty()) {
    outcome.status = DriverStatus::functionMissing;
    outcome.problem = outcome.path + " has no function " + missing;
    outcome.hint = "update NVIDIA's driver to one of CUDA 12 or later";
    return outcome;
  }
  table.simulatorHostAccess =
      reinterpret_cast<decltype(table.simulatorHostAccess)>(dlsym(library.get(), "simulatorHostAccess"));

  if (const CUresult result = table.cuInit(0); result != CUDA_SUCCESS) {
    const char* name = nullptr;
    table.cuGetErrorName(result, &name);
    outcome.status = DriverStatus::initialisationFailed;
    outcome.problem = "the CUDA driver does not start: cuInit failed with " +
                      (name == nullptr ? codeName(result) : std::string(name));
    outcome.hint = std::string(hintFor(result));
    return outcome;
  }
  outcome.status = DriverStatus::ready;
  return outcome;
}

}  // namespace

LoadOutcome load(const std::string& path) {
  static std::mutex mutex;
  static LoadOutcome success;
  const std::lock_guard lock(mutex);
  if (success.ready()) return success;

  auto table = std::make_unique<DriverTable>();
  Library library;
  LoadOutcome outcome = open(libraryPath(path), *table, library);
  if (outcome.ready()) {
    // Both stay for the life of the process: there is no moment when unloading a driver is safe.
    static_cast<void>(library.release());
    loaded.store(table.release(), std::memory_order_release);
    success = outcome;
  }
  return outcome;
}

const DriverTable* driverIfLoaded() noexcept {
  return loaded.load(std::memory_order_acquire);
}

const DriverTable& driver() {
  if (const auto* table = driverIfLoaded()) [[likely]]
    return *table;
  fail(CUDA_ERROR_NOT_INITIALIZED, "driver", "load() was not called or did not succeed");
}

}  // namespace tensorrt_node::cuda
