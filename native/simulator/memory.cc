#include "memory.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <utility>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, bytes) (static_cast<void>(address), static_cast<void>(bytes))
#define ASAN_UNPOISON_MEMORY_REGION(address, bytes) (static_cast<void>(address), static_cast<void>(bytes))
#endif

namespace simulator {

namespace {

// Also the alignment; the driver's own is 512 bytes on devices and a page on the host.
constexpr std::size_t guardBytes = 4096;
constexpr std::size_t quarantineLimit = std::size_t{32} << 20;
// Poisoning all of a large allocation would take real memory that is perhaps never used.
constexpr std::size_t poisonLimit = std::size_t{1} << 20;

constexpr int guardPattern = 0xFD;
constexpr int freshPattern = 0xCD;
constexpr int freedPattern = 0xDD;

bool all(const std::byte* bytes, std::size_t count, int value) {
  return std::all_of(bytes, bytes + count, [&](std::byte each) { return each == static_cast<std::byte>(value); });
}

}  // namespace

std::string Allocation::name() const {
  const char* what = reservation                  ? "reserved addresses "
                     : kind == MemoryKind::device ? "device memory "
                                                  : "pinned memory ";
  return what + std::to_string(number) + " (" + std::to_string(bytes) + " bytes)";
}

bool Allocation::backed(std::size_t begin, std::size_t end) const {
  if (!reservation) return true;
  while (begin < end) {
    const auto next = mappings.upper_bound(begin);
    if (next == mappings.begin()) return false;
    const Mapping& mapping = std::prev(next)->second;
    if (mapping.end <= begin || !mapping.accessible) return false;
    begin = mapping.end;
  }
  return true;
}

Allocation* Memory::allocate(MemoryKind kind, int device, std::size_t bytes, const Access& by) {
  const std::size_t rounded = (bytes + guardBytes - 1) / guardBytes * guardBytes;
  std::unique_ptr<std::byte, FreeStorage> storage(
      static_cast<std::byte*>(std::aligned_alloc(guardBytes, rounded + 2 * guardBytes)));
  if (storage == nullptr) return nullptr;
  std::byte* const memory = storage.get() + guardBytes;
  std::memset(storage.get(), guardPattern, guardBytes);
  std::memset(memory, freshPattern, std::min(bytes, poisonLimit));
  std::memset(memory + bytes, guardPattern, guardBytes);
  const auto address = reinterpret_cast<std::uintptr_t>(memory);
  Held held{std::move(storage), Allocation{++last_, kind, device, address, bytes, History(bytes, by)}};
  return &held_.insert_or_assign(address, std::move(held)).first->second.allocation;
}

Allocation* Memory::find(std::uintptr_t address) {
  const auto next = held_.upper_bound(address);
  if (next == held_.begin()) return nullptr;
  Allocation& allocation = std::prev(next)->second.allocation;
  return address - allocation.address <= allocation.bytes ? &allocation : nullptr;
}

bool Memory::intact(const Allocation& allocation) const {
  const auto* memory = reinterpret_cast<const std::byte*>(allocation.address);
  return all(memory - guardBytes, guardBytes, guardPattern) && all(memory + allocation.bytes, guardBytes, guardPattern);
}

void Memory::free(Allocation& allocation) {
  auto* memory = reinterpret_cast<std::byte*>(allocation.address);
  // Of a reservation nothing is left to poison.
  if (!allocation.reservation) std::memset(memory, freedPattern, std::min(allocation.bytes, poisonLimit));
  ASAN_POISON_MEMORY_REGION(memory, allocation.bytes);
  allocation.freed = true;
  quarantine_.push_back(allocation.address);
  quarantineBytes_ += allocation.bytes;
  while (quarantineBytes_ > quarantineLimit) {
    const auto oldest = held_.find(quarantine_.front());
    quarantine_.pop_front();
    quarantineBytes_ -= oldest->second.allocation.bytes;
    ASAN_UNPOISON_MEMORY_REGION(reinterpret_cast<void*>(oldest->first), oldest->second.allocation.bytes);
    held_.erase(oldest);
  }
}

Allocation* Memory::reserve(int device, std::size_t bytes, const Access& by) {
  Allocation* made = allocate(MemoryKind::device, device, bytes, by);
  if (made == nullptr) return nullptr;
  made->reservation = true;
  ASAN_POISON_MEMORY_REGION(reinterpret_cast<void*>(made->address), bytes);
  return made;
}

void Memory::expose(const Allocation& reservation, std::size_t begin, std::size_t end) {
  auto* memory = reinterpret_cast<std::byte*>(reservation.address + begin);
  ASAN_UNPOISON_MEMORY_REGION(memory, end - begin);
  std::memset(memory, freshPattern, std::min(end - begin, poisonLimit));
}

void Memory::hide(const Allocation& reservation, std::size_t begin, std::size_t end) {
  auto* memory = reinterpret_cast<std::byte*>(reservation.address + begin);
  std::memset(memory, freedPattern, std::min(end - begin, poisonLimit));
  ASAN_POISON_MEMORY_REGION(memory, end - begin);
}

std::size_t Memory::used(MemoryKind kind, int device) const {
  std::size_t bytes = 0;
  for (const auto& [address, held] : held_) {
    const Allocation& allocation = held.allocation;
    const bool counts = kind == MemoryKind::pinned || allocation.device == device;
    if (allocation.kind == kind && counts && !allocation.freed && !allocation.reservation) bytes += allocation.bytes;
  }
  if (kind == MemoryKind::device)
    for (const auto& [handle, each] : physical) bytes += each.device == device ? each.bytes : 0;
  return bytes;
}

}  // namespace simulator
