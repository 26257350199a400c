#include "nvtx.h"

#include <dlfcn.h>

#include <array>
#include <cstdlib>
#include <type_traits>

namespace tensorrt_node::profile {

namespace {

// Where the tool puts its functions: of each module, by their numbers, of which no module has as many as there is room.
constexpr std::size_t mostFunctions = 32;
struct Table {
  std::array<nvtx::Function, mostFunctions> functions{};
  std::array<nvtx::Function*, mostFunctions> places{};
  unsigned size;

  explicit Table(unsigned count) : size(count) {
    // Number 0 is none.
    for (std::size_t i = 1; i < count; ++i) places[i] = &functions[i];
  }
};

Table* tableOf(nvtx::Module module) noexcept {
  // All modules are there, for tools that want them, though only one is called. Never destroyed, as the tool may write
  // there at any time: nothing of them has a destructor.
  static std::array<Table, 6> tables{Table(16), Table(9), Table(15), Table(7), Table(16), Table(7)};
  static_assert(std::is_trivially_destructible_v<Table>);
  const auto index = static_cast<std::uint32_t>(module) - 1;
  return index < tables.size() ? &tables[index] : nullptr;
}

int getModuleFunctionTable(nvtx::Module module, nvtx::Function*** table, unsigned* size) noexcept {
  Table* const found = tableOf(module);
  if (found == nullptr) return 0;
  if (table != nullptr) *table = found->places.data();
  if (size != nullptr) *size = found->size;
  return 1;
}

const void* getExportTable(std::uint32_t table) noexcept {
  static constexpr nvtx::Callbacks callbacks{sizeof(nvtx::Callbacks), getModuleFunctionTable};
  static constexpr nvtx::VersionInfo versionInfo{sizeof(nvtx::VersionInfo), nvtx::version, 0,
                                                 [](std::uint32_t) noexcept {}};
  switch (static_cast<nvtx::ExportTable>(table)) {
    case nvtx::ExportTable::callbacks:
      return &callbacks;
    case nvtx::ExportTable::versionInfo:
      return &versionInfo;
  }
  return nullptr;
}

template <typename Function>
Function find(nvtx::Core2 number) noexcept {
  const Table* const table = tableOf(nvtx::Module::core2);
  return reinterpret_cast<Function>(table->functions[static_cast<std::size_t>(number)]);
}

}  // namespace

const NvtxTool* NvtxTool::current() noexcept {
  static const NvtxTool* const tool = []() noexcept -> const NvtxTool* {
    const char* const library = std::getenv("NVTX_INJECTION64_PATH");
    return library == nullptr || *library == '\0' ? nullptr : load(library);
  }();
  return tool;
}

const NvtxTool* NvtxTool::load(const char* library) noexcept {
  // Stays: its threads may run until the process ends.
  void* const handle = ::dlopen(library, RTLD_LAZY);
  if (handle == nullptr) return nullptr;
  const auto initialize = reinterpret_cast<nvtx::Initialize>(::dlsym(handle, "InitializeInjectionNvtx2"));
  if (initialize == nullptr || initialize(getExportTable) == 0) return nullptr;
  static NvtxTool tool;
  tool.start_ = find<nvtx::RangeStart>(nvtx::Core2::rangeStart);
  tool.end_ = find<nvtx::RangeEnd>(nvtx::Core2::rangeEnd);
  tool.push_ = find<nvtx::RangePush>(nvtx::Core2::rangePush);
  tool.pop_ = find<nvtx::RangePop>(nvtx::Core2::rangePop);
  if (const auto create = find<nvtx::DomainCreate>(nvtx::Core2::domainCreate)) tool.domain_ = create("tensorrt-node");
  return &tool;
}

namespace {

nvtx::Attributes attributes(const char* message, std::uint64_t payload) noexcept {
  nvtx::Attributes made;
  made.message = message;
  made.payload = payload;
  made.payloadType = payload == 0 ? 0 : 1;
  return made;
}

}  // namespace

void NvtxTool::push(const char* message, std::uint64_t payload) const noexcept {
  const nvtx::Attributes given = attributes(message, payload);
  if (push_ != nullptr) push_(domain_, &given);
}

void NvtxTool::pop() const noexcept {
  if (pop_ != nullptr) pop_(domain_);
}

std::uint64_t NvtxTool::start(const char* message, std::uint64_t payload) const noexcept {
  const nvtx::Attributes given = attributes(message, payload);
  return start_ == nullptr ? 0 : start_(domain_, &given);
}

void NvtxTool::end(std::uint64_t range) const noexcept {
  if (end_ != nullptr) end_(domain_, range);
}

}  // namespace tensorrt_node::profile
