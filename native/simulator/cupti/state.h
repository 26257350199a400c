// What the simulated CUPTI knows: which kinds are wanted, the buffer that records go into, and those that are full.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "profile/cupti.h"
#include "profile/records.h"
#include "simulator/simulator.h"

namespace simulator::cupti {

namespace records = tensorrt_node::profile::cupti;
using tensorrt_node::profile::Cupti;

struct Buffer {
  std::uint8_t* memory = nullptr;
  std::size_t bytes = 0;
  std::size_t used = 0;
};

struct State {
  std::mutex mutex;
  // Held while buffers are handed over; taken before the other.
  std::mutex delivering;
  // Of the thread that hands buffers over.
  std::condition_variable wakeUp;
  bool threadRuns = false;
  std::uint32_t periodMilliseconds = 0;

  std::set<records::Kind> kinds;
  Cupti::RequestBuffer request = nullptr;
  Cupti::CompleteBuffer complete = nullptr;
  Cupti::Timestamp timestamp = nullptr;
  Buffer current;
  std::vector<Buffer> full;
  // Of kernels; records point at them for ever.
  std::set<std::string, std::less<>> names;
  std::atomic<std::size_t> dropped{0};

  std::atomic<std::uint64_t> clock{0};
  std::atomic<std::uint64_t> refuse{0};
  std::atomic<std::uint64_t> version{0};

  bool wants(records::Kind kind) const { return kinds.contains(kind); }
  // Nanoseconds of the clock that records have, from those of CLOCK_MONOTONIC.
  std::uint64_t time(std::uint64_t monotonic) const;
  const char* intern(const char* name) { return names.insert(name).first->c_str(); }

  // Needs the lock.
  template <typename Record>
  void append(const Record& record) {
    constexpr std::size_t bytes = (sizeof(Record) + 7) / 8 * 8;
    if (current.memory != nullptr && current.used + bytes > current.bytes) setAside();
    if (current.memory == nullptr) {
      std::size_t mostRecords = 0;
      request(&current.memory, &current.bytes, &mostRecords);
      current.used = 0;
    }
    if (current.memory == nullptr) {
      ++dropped;
      return;
    }
    std::memcpy(current.memory + current.used, &record, sizeof record);
    current.used += bytes;
  }
  void setAside();
  // Hands all buffers over that have records; called without the lock.
  void deliver();
};

// Never destroyed.
State& state();

// External correlations of this thread, of the kinds of CUpti_ExternalCorrelationKind.
struct Correlations {
  std::array<std::array<std::uint64_t, 16>, 6> ids;
  std::array<std::size_t, 6> sizes;
};
Correlations& correlations() noexcept;

// A SimulatorObserver.
void observe(const SimulatorActivity* activity, void* data);

}  // namespace simulator::cupti
