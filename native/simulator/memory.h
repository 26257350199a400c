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

// Memory behind some of the addresses of a reservation.
struct Mapping {
  std::size_t end;
  // Of the physical memory.
  std::uintptr_t handle;
  bool accessible = false;
};

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
  // Of addresses that are reserved, which have memory only where it is mapped; by first byte.
  bool reservation = false;
  std::map<std::size_t, Mapping> mappings{};

  // "pinned memory 3 (4096 bytes)".
  std::string name() const;
  // Whether all the bytes can be accessed; always but for reservations.
  bool backed(std::size_t begin, std::size_t end) const;
};

// What cuMemCreate makes.
struct Physical {
  std::uint64_t number;
  int device;
  std::size_t bytes;
  bool mapped = false;
  // The program has let go of it; it lives on while mapped.
  bool released = false;
  bool leakReported = false;
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

  // Addresses alone; null when the heap has no more.
  Allocation* reserve(int device, std::size_t bytes, const Access& by);
  // Makes bytes of a reservation accessible to anybody who looks, with fresh contents, or no longer.
  void expose(const Allocation& reservation, std::size_t begin, std::size_t end);
  void hide(const Allocation& reservation, std::size_t begin, std::size_t end);
  // By handle.
  std::map<std::uintptr_t, Physical> physical;

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
