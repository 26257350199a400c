// Driver functions: addresses reserved apart from the memory that is mapped behind them.
#include <string>

#include "call.h"

using namespace simulator;

namespace {

// Less than a real driver's 2 MiB, so that small tests have many pieces; programs must ask.
constexpr std::size_t granularity = 64 << 10;

bool isWhole(std::size_t bytes) {
  return bytes > 0 && bytes % granularity == 0;
}

CUresult misused(World& state, const std::string& what) {
  state.findings.add(SIMULATOR_INVALID_MAPPING, what);
  return CUDA_ERROR_INVALID_VALUE;
}

CUresult refuse(World& state) {
  if (state.config.virtualMemory == 0) return CUDA_ERROR_NOT_SUPPORTED;
  return state.disturbsCapture() ? CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED : CUDA_SUCCESS;
}

struct Reserved {
  Allocation* allocation = nullptr;
  std::size_t begin = 0;
  std::size_t end = 0;
};

// The live reservation that holds all the addresses; none otherwise.
Reserved reservedAt(World& state, CUdeviceptr address, std::size_t bytes) {
  Allocation* allocation = state.memory.find(address);
  if (allocation == nullptr || allocation->freed || !allocation->reservation) return {};
  const std::size_t begin = address - allocation->address;
  if (bytes > allocation->bytes - begin) return {};
  return {allocation, begin, begin + bytes};
}

CUresult map(World& state, const Reserved& at, std::uintptr_t handle) {
  const auto memory = state.memory.physical.find(handle);
  if (memory == state.memory.physical.end()) return CUDA_ERROR_INVALID_VALUE;
  // Parts of it, and the same twice: the driver can, this cannot.
  if (memory->second.bytes != at.end - at.begin) return CUDA_ERROR_NOT_SUPPORTED;
  if (memory->second.mapped)
    return misused(state, "cuMemMap of physical memory " + std::to_string(memory->second.number) + ", mapped already");
  for (const auto& [begin, each] : at.allocation->mappings)
    if (begin < at.end && each.end > at.begin)
      return misused(state, "cuMemMap to bytes " + std::to_string(at.begin) + " to " + std::to_string(at.end) + " of " +
                                at.allocation->name() + ", where memory is mapped");
  memory->second.mapped = true;
  at.allocation->mappings.emplace(at.begin, Mapping{at.end, handle});
  return CUDA_SUCCESS;
}

// The host gives or takes the bytes: work that nothing orders with that is a race.
void enterHost(World& state, const Reserved& at, const char* what) {
  state.enter(state.hostAccess(what), {at.allocation, at.allocation->address + at.begin, at.end - at.begin, true});
}

void freeUnlessNeeded(World& state, std::uintptr_t handle) {
  const auto memory = state.memory.physical.find(handle);
  if (memory->second.released && !memory->second.mapped) state.memory.physical.erase(memory);
}

// Whether the bytes are some mappings from end to end.
bool areWholeMappings(const Reserved& at) {
  const auto& mappings = at.allocation->mappings;
  std::size_t covered = at.begin;
  for (auto each = mappings.find(at.begin); each != mappings.end() && each->first == covered && covered < at.end;
       ++each)
    covered = each->second.end;
  return covered == at.end;
}

CUresult unmap(World& state, Lock& lock, const Reserved& at) {
  auto& mappings = at.allocation->mappings;
  if (!areWholeMappings(at))
    return misused(state, "cuMemUnmap of bytes " + std::to_string(at.begin) + " to " + std::to_string(at.end) + " of " +
                              at.allocation->name() + ", which are no whole mappings");
  enterHost(state, at, "cuMemUnmap");
  // Found already, and not to end in a crash here.
  if (at.allocation->raced) state.drain(lock);
  for (auto each = mappings.find(at.begin); each != mappings.end() && each->first < at.end;) {
    const std::uintptr_t handle = each->second.handle;
    if (each->second.accessible) state.memory.hide(*at.allocation, each->first, each->second.end);
    state.memory.physical.at(handle).mapped = false;
    each = mappings.erase(each);
    freeUnlessNeeded(state, handle);
  }
  return CUDA_SUCCESS;
}

CUresult setAccess(World& state, const Reserved& at) {
  auto& mappings = at.allocation->mappings;
  if (!areWholeMappings(at))
    return misused(state, "cuMemSetAccess for bytes " + std::to_string(at.begin) + " to " + std::to_string(at.end) +
                              " of " + at.allocation->name() + ", which are no whole mappings");
  enterHost(state, at, "cuMemSetAccess");
  for (auto each = mappings.find(at.begin); each != mappings.end() && each->first < at.end; ++each) {
    if (!each->second.accessible) state.memory.expose(*at.allocation, each->first, each->second.end);
    each->second.accessible = true;
  }
  return CUDA_SUCCESS;
}

}  // namespace

extern "C" {

CUresult cuMemGetAllocationGranularity(std::size_t* bytes, const CUmemAllocationProp* kind,
                                       CUmemAllocationGranularity_flags) {
  return call(SIMULATOR_SYMBOL(cuMemGetAllocationGranularity), Needs::initialised, [&](World& state, Lock&) {
    if (state.config.virtualMemory == 0) return CUDA_ERROR_NOT_SUPPORTED;
    if (kind->type != CU_MEM_ALLOCATION_TYPE_PINNED || kind->location.type != CU_MEM_LOCATION_TYPE_DEVICE)
      return CUDA_ERROR_INVALID_VALUE;
    *bytes = granularity;
    return CUDA_SUCCESS;
  });
}

CUresult cuMemAddressReserve(CUdeviceptr* address, std::size_t bytes, std::size_t, CUdeviceptr, unsigned long long) {
  return call(SIMULATOR_SYMBOL(cuMemAddressReserve), Needs::context, [&](World& state, Lock&) {
    if (const CUresult result = refuse(state); result != CUDA_SUCCESS) return result;
    if (!isWhole(bytes)) return CUDA_ERROR_INVALID_VALUE;
    const Allocation* made = state.memory.reserve(currentDevice(), bytes, state.hostAccess("cuMemAddressReserve"));
    if (made == nullptr) return CUDA_ERROR_OUT_OF_MEMORY;
    *address = made->address;
    return CUDA_SUCCESS;
  });
}

CUresult cuMemAddressFree(CUdeviceptr address, std::size_t bytes) {
  return callThatFrees(SIMULATOR_SYMBOL(cuMemAddressFree), Needs::context, [&](World& state, Lock&) {
    Allocation* allocation = state.memory.find(address);
    if (allocation == nullptr || !allocation->reservation || allocation->address != address ||
        allocation->bytes != bytes) {
      state.findings.add(SIMULATOR_INVALID_FREE, "cuMemAddressFree of addresses that were not reserved together");
      return CUDA_ERROR_INVALID_VALUE;
    }
    if (allocation->freed) {
      state.findings.add(SIMULATOR_DOUBLE_FREE, "cuMemAddressFree of " + allocation->name());
      return CUDA_ERROR_INVALID_VALUE;
    }
    if (!allocation->mappings.empty())
      return misused(state, "cuMemAddressFree of " + allocation->name() + ", where memory is mapped");
    if (!state.memory.intact(*allocation))
      state.findings.add(SIMULATOR_OUT_OF_BOUNDS, "something wrote beyond the ends of " + allocation->name());
    state.memory.free(*allocation);
    return CUDA_SUCCESS;
  });
}

CUresult cuMemCreate(CUmemGenericAllocationHandle* handle, std::size_t bytes, const CUmemAllocationProp* kind,
                     unsigned long long) {
  return call(SIMULATOR_SYMBOL(cuMemCreate), Needs::context, [&](World& state, Lock&) {
    if (const CUresult result = refuse(state); result != CUDA_SUCCESS) return result;
    const int device = kind->location.id;
    if (!isWhole(bytes) || device < 0 || static_cast<std::size_t>(device) >= state.devices.size())
      return CUDA_ERROR_INVALID_VALUE;
    const std::size_t used = state.memory.used(MemoryKind::device, device);
    if (bytes > state.config.deviceBytes || used > state.config.deviceBytes - bytes) return CUDA_ERROR_OUT_OF_MEMORY;
    *handle = ++state.lastHandle;
    state.memory.physical.emplace(*handle, Physical{++state.lastPhysical, device, bytes});
    return CUDA_SUCCESS;
  });
}

CUresult cuMemRelease(CUmemGenericAllocationHandle handle) {
  return callThatFrees(SIMULATOR_SYMBOL(cuMemRelease), Needs::context, [&](World& state, Lock&) {
    const auto memory = state.memory.physical.find(handle);
    if (memory == state.memory.physical.end() || memory->second.released) {
      state.findings.add(SIMULATOR_DOUBLE_FREE, "cuMemRelease of memory that was released or never created");
      return CUDA_ERROR_INVALID_VALUE;
    }
    memory->second.released = true;
    freeUnlessNeeded(state, handle);
    return CUDA_SUCCESS;
  });
}

CUresult cuMemMap(CUdeviceptr address, std::size_t bytes, std::size_t offset, CUmemGenericAllocationHandle handle,
                  unsigned long long) {
  return call(SIMULATOR_SYMBOL(cuMemMap), Needs::context, [&](World& state, Lock&) {
    if (const CUresult result = refuse(state); result != CUDA_SUCCESS) return result;
    if (!isWhole(bytes) || offset != 0) return CUDA_ERROR_INVALID_VALUE;
    const Reserved at = reservedAt(state, address, bytes);
    if (at.allocation == nullptr) return misused(state, "cuMemMap to addresses that are not reserved");
    return map(state, at, handle);
  });
}

CUresult cuMemUnmap(CUdeviceptr address, std::size_t bytes) {
  return callThatFrees(SIMULATOR_SYMBOL(cuMemUnmap), Needs::context, [&](World& state, Lock& lock) {
    const Reserved at = reservedAt(state, address, bytes);
    if (at.allocation == nullptr) return misused(state, "cuMemUnmap of addresses that are not reserved");
    return unmap(state, lock, at);
  });
}

CUresult cuMemSetAccess(CUdeviceptr address, std::size_t bytes, const CUmemAccessDesc*, std::size_t) {
  return call(SIMULATOR_SYMBOL(cuMemSetAccess), Needs::context, [&](World& state, Lock&) {
    if (const CUresult result = refuse(state); result != CUDA_SUCCESS) return result;
    const Reserved at = reservedAt(state, address, bytes);
    if (at.allocation == nullptr) return misused(state, "cuMemSetAccess for addresses that are not reserved");
    return setAccess(state, at);
  });
}

}  // extern "C"
