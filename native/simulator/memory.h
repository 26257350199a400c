// Device and pinned memory of the simulated driver: on the heap, guarded, and remembered for a while after it is freed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <map>
#include <memory>
#include <string>

#include "history.h"

namespace simulator {

enum class MemoryKind { device, pinned };

struct Allocation {
  std::uint64_t number;
  MemoryKind kind;
  int device;
  std::uintptr_t address;
  std::size_t bytes;
  History history;
  bool freed = false;
  // Its history has lost accesses that something else overtook.
  bool raced = false;
  bool leakReported = false;

  // "pinned memory 3 (4096 bytes)".
  std::string name() const;
};

class Memory {
 public:
  // Null when the heap has no more.
  Allocation* allocate(MemoryKind kind, int device, std::size_t bytes, const Access& by);
  // The allocation, live or freed, that holds the address, or whose end it is; null for memory of others.
  Allocation* find(std::uintptr_t address);
  // Whether the guards around the allocation are as they were.
  bool intact(const Allocation& allocation) const;
  // Poisons the memory and keeps it out of reuse for a while.
  void free(Allocation& allocation);

  // Live bytes; pinned memory counts together, whatever the device.
  std::size_t used(MemoryKind kind, int device) const;
  template <typename Function>
  void forEachLive(Function function) {
    for (auto& [address, held] : held_)
      if (!held.allocation.freed) function(held.allocation);
  }

 private:
  struct FreeStorage {
    void operator()(std::byte* storage) const noexcept { std::free(storage); }
  };
  struct Held {
    std::unique_ptr<std::byte, FreeStorage> storage;
    Allocation allocation;
  };

  std::map<std::uintptr_t, Held> held_;
  // Freed ones, the oldest first.
  std::deque<std::uintptr_t> quarantine_;
  std::size_t quarantineBytes_ = 0;
  std::uint64_t last_ = 0;
};

}  // namespace simulator
