// The interface between programs that mark ranges with NVTX and the tool that NVTX_INJECTION64_PATH names, as far as it
// is used here. Documented in NVTX's headers (nvToolsExt.h, nvtxDetail/nvtxTypes.h), version 3.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tensorrt_node::profile::nvtx {

constexpr std::uint32_t version = 3;

// NvtxExportTableID.
enum class ExportTable : std::uint32_t { callbacks = 1, versionInfo = 3 };

// NvtxCallbackModule.
enum class Module : std::uint32_t { core = 1, cuda = 2, openCl = 3, cudaRuntime = 4, core2 = 5, synchronization = 6 };

// NvtxCallbackIdCore2: places in the table of Module::core2.
enum class Core2 : std::uint32_t { rangeStart = 2, rangeEnd = 3, rangePush = 4, rangePop = 5, domainCreate = 11 };

using Function = void (*)();

struct Callbacks {
  std::size_t bytes;
  // A table's entries say where the tool may put its functions. 0 for no such module.
  int (*getModuleFunctionTable)(Module module, Function*** table, unsigned* size);
};

struct VersionInfo {
  std::size_t bytes;
  std::uint32_t version;
  std::uint32_t reserved;
  void (*setInjectionVersion)(std::uint32_t version);
};

using GetExportTable = const void* (*)(std::uint32_t table);
// "InitializeInjectionNvtx2" of the tool's library; 0 where it does not want to be told.
using Initialize = int (*)(GetExportTable);

// nvtxEventAttributes_v2.
struct Attributes {
  std::uint16_t version = nvtx::version;
  std::uint16_t bytes = sizeof(Attributes);
  std::uint32_t category = 0;
  std::int32_t colorType = 0;
  std::uint32_t color = 0;
  // 1: uint64_t.
  std::int32_t payloadType = 0;
  std::int32_t reserved = 0;
  std::uint64_t payload = 0;
  // 1: char*.
  std::int32_t messageType = 1;
  const char* message = "";
};
static_assert(sizeof(Attributes) == 48 && offsetof(Attributes, payload) == 24 && offsetof(Attributes, message) == 40);

using Domain = void*;
using DomainCreate = Domain (*)(const char* name);
using RangeStart = std::uint64_t (*)(Domain, const Attributes*);
using RangeEnd = void (*)(Domain, std::uint64_t range);
using RangePush = int (*)(Domain, const Attributes*);
using RangePop = int (*)(Domain);

}  // namespace tensorrt_node::profile::nvtx
