// An NVTX tool for tests: what is marked goes into the file that TENSORRT_NODE_SIMULATOR_NVTX names, a line each.
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "profile/nvtx_abi.h"

namespace nvtx = tensorrt_node::profile::nvtx;

namespace {

struct State {
  std::mutex mutex;
  std::FILE* file = nullptr;
  std::uint64_t last = 0;
  std::map<std::uint64_t, std::string> ranges;
  // Domains are places in it.
  std::vector<std::unique_ptr<std::string>> domains;
};

// Never destroyed.
State& state() {
  static State& instance = *std::make_unique<State>().release();
  return instance;
}

void write(const char* what, nvtx::Domain domain, const std::string& text) {
  State& all = state();
  std::fprintf(all.file, "%s\t%s\t%s\n", what, static_cast<const std::string*>(domain)->c_str(), text.c_str());
  std::fflush(all.file);
}

std::string textOf(const nvtx::Attributes& given) {
  const bool sound = given.version == nvtx::version && given.bytes == sizeof given && given.messageType == 1;
  const std::string text = sound ? given.message : "?";
  return given.payloadType == 1 ? text + "\t" + std::to_string(given.payload) : text;
}

nvtx::Domain create(const char* name) {
  State& all = state();
  const std::lock_guard lock(all.mutex);
  return all.domains.emplace_back(std::make_unique<std::string>(name)).get();
}

std::uint64_t start(nvtx::Domain domain, const nvtx::Attributes* given) {
  State& all = state();
  const std::lock_guard lock(all.mutex);
  all.ranges[++all.last] = textOf(*given);
  write("start", domain, textOf(*given));
  return all.last;
}

void end(nvtx::Domain domain, std::uint64_t range) {
  State& all = state();
  const std::lock_guard lock(all.mutex);
  const auto found = all.ranges.find(range);
  write("end", domain, found == all.ranges.end() ? "?" : found->second);
  if (found != all.ranges.end()) all.ranges.erase(found);
}

int push(nvtx::Domain domain, const nvtx::Attributes* given) {
  State& all = state();
  const std::lock_guard lock(all.mutex);
  write("push", domain, textOf(*given));
  return 0;
}

int pop(nvtx::Domain domain) {
  State& all = state();
  const std::lock_guard lock(all.mutex);
  write("pop", domain, "");
  return 0;
}

template <typename Function>
void put(nvtx::Function** table, nvtx::Core2 number, Function function) {
  *table[static_cast<std::size_t>(number)] = reinterpret_cast<nvtx::Function>(function);
}

}  // namespace

extern "C" [[gnu::visibility("default")]] int InitializeInjectionNvtx2(nvtx::GetExportTable getExportTable) {
  const char* const path = std::getenv("TENSORRT_NODE_SIMULATOR_NVTX");
  State& all = state();
  const std::lock_guard lock(all.mutex);
  if (path == nullptr || (all.file = std::fopen(path, "a")) == nullptr) return 0;
  const auto table = [&](nvtx::ExportTable number) { return getExportTable(static_cast<std::uint32_t>(number)); };
  const auto* const version = static_cast<const nvtx::VersionInfo*>(table(nvtx::ExportTable::versionInfo));
  if (version == nullptr || version->version != nvtx::version) return 0;
  version->setInjectionVersion(nvtx::version);
  const auto* const callbacks = static_cast<const nvtx::Callbacks*>(table(nvtx::ExportTable::callbacks));
  nvtx::Function** functions = nullptr;
  unsigned size = 0;
  // As tools do: whatever modules there are.
  for (std::uint32_t module = 1; module <= 6; ++module)
    if (callbacks->getModuleFunctionTable(static_cast<nvtx::Module>(module), &functions, &size) == 0) return 0;
  if (callbacks->getModuleFunctionTable(nvtx::Module::core2, &functions, &size) == 0 || size < 16) return 0;
  put(functions, nvtx::Core2::domainCreate, create);
  put(functions, nvtx::Core2::rangeStart, start);
  put(functions, nvtx::Core2::rangeEnd, end);
  put(functions, nvtx::Core2::rangePush, push);
  put(functions, nvtx::Core2::rangePop, pop);
  return 1;
}
