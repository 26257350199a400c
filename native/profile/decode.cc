#include "decode.h"

#include <algorithm>
#include <limits>

namespace tensorrt_node::profile {

namespace {

constexpr auto none = std::numeric_limits<std::uint32_t>::max();

template <typename Record>
const Record& as(const cupti::Record& record) {
  return reinterpret_cast<const Record&>(record);
}

double shifted(std::uint64_t time, std::int64_t offset) {
  return static_cast<double>(static_cast<std::int64_t>(time) + offset);
}

// What all records of work on a stream have.
template <typename Record>
Activity work(const Record& record, ActivityKind kind, const StreamNameNumbers& streams) {
  Activity activity;
  activity.kind = kind;
  activity.device = record.device;
  activity.stream = record.stream;
  const auto name = streams.find({record.context, record.stream});
  if (name != streams.end()) activity.streamName = name->second;
  activity.correlation = record.correlation;
  activity.graph = record.graph;
  return activity;
}

Activity decodeKernel(const cupti::Kernel& record, Names& names, const StreamNameNumbers& streams) {
  Activity activity = work(record, ActivityKind::kernel, streams);
  activity.name = names.numberOfFunction(record.name);
  const auto convert = [](std::int32_t value) { return static_cast<std::uint32_t>(value); };
  std::transform(std::begin(record.grid), std::end(record.grid), std::begin(activity.grid), convert);
  std::transform(std::begin(record.block), std::end(record.block), std::begin(activity.block), convert);
  activity.sharedBytes = convert(record.staticSharedBytes) + convert(record.dynamicSharedBytes);
  activity.registers = record.registersPerThread;
  return activity;
}

Direction directionOf(cupti::Memory from, cupti::Memory to, cupti::CopyKind kind) noexcept {
  if (kind == cupti::CopyKind::toDevice) return Direction::toDevice;
  if (kind == cupti::CopyKind::toHost) return Direction::toHost;
  if (kind == cupti::CopyKind::onDevice || kind == cupti::CopyKind::peer) return Direction::onDevice;
  const auto isHost = [](cupti::Memory each) {
    return each == cupti::Memory::pageable || each == cupti::Memory::pinned;
  };
  if (isHost(from) && isHost(to)) return Direction::none;
  return isHost(from) ? Direction::toDevice : isHost(to) ? Direction::toHost : Direction::onDevice;
}

const char* nameOf(Direction direction) noexcept {
  switch (direction) {
    case Direction::toDevice:
      return "copy to device";
    case Direction::toHost:
      return "copy to host";
    case Direction::onDevice:
      return "copy on device";
    case Direction::none:
      return "copy";
  }
  return "copy";
}

template <typename Record>
Activity decodeCopy(const Record& record, Names& names, const StreamNameNumbers& streams) {
  Activity activity = work(record, ActivityKind::copy, streams);
  activity.direction = directionOf(record.from, record.to, record.copyKind);
  activity.name = names.numberOf(nameOf(activity.direction));
  activity.bytes = static_cast<double>(record.bytes);
  activity.pageable = record.from == cupti::Memory::pageable || record.to == cupti::Memory::pageable;
  return activity;
}

Activity decodeSet(const cupti::Set& record, Names& names, const StreamNameNumbers& streams) {
  Activity activity = work(record, ActivityKind::set, streams);
  activity.name = names.numberOf("memory set");
  activity.bytes = static_cast<double>(record.bytes);
  return activity;
}

const char* nameOf(cupti::Wait wait) noexcept {
  switch (wait) {
    case cupti::Wait::event:
      return "wait for an event";
    case cupti::Wait::stream:
      return "wait for a stream";
    case cupti::Wait::context:
      return "wait for the device";
    case cupti::Wait::streamForEvent:
      return "order after an event";
  }
  return "wait";
}

Activity decodeWait(const cupti::Synchronization& record, Names& names, const StreamNameNumbers& streams) {
  Activity activity;
  activity.kind = ActivityKind::synchronize;
  if (record.stream != none && record.type != cupti::Wait::event) {
    activity.stream = record.stream;
    const auto name = streams.find({record.context, record.stream});
    if (name != streams.end()) activity.streamName = name->second;
  }
  activity.name = names.numberOf(nameOf(record.type));
  activity.correlation = record.correlation;
  return activity;
}

template <typename Record>
Decoded timed(Activity activity, const Record& record, std::int64_t offset) {
  // CUPTI's sign of work that has not ended, or that it could not time; where it is short of memory on the GPU, an end
  // may lie before its start.
  if (record.start == 0 || record.end < record.start) return {std::nullopt, true};
  activity.start = shifted(record.start, offset);
  activity.end = shifted(record.end, offset);
  return {activity, false};
}

}  // namespace

Decoded decode(const cupti::Record& record, std::int64_t clockOffset, Names& names, const StreamNameNumbers& streams) {
  switch (record.kind) {
    case cupti::Kind::concurrentKernel: {
      const auto& kernel = as<cupti::Kernel>(record);
      return timed(decodeKernel(kernel, names, streams), kernel, clockOffset);
    }
    case cupti::Kind::copy: {
      const auto& copy = as<cupti::Copy>(record);
      return timed(decodeCopy(copy, names, streams), copy, clockOffset);
    }
    case cupti::Kind::peerCopy: {
      const auto& copy = as<cupti::PeerCopy>(record);
      return timed(decodeCopy(copy, names, streams), copy, clockOffset);
    }
    case cupti::Kind::set: {
      const auto& set = as<cupti::Set>(record);
      return timed(decodeSet(set, names, streams), set, clockOffset);
    }
    case cupti::Kind::graph: {
      const auto& graph = as<cupti::Graph>(record);
      Activity activity = work(graph, ActivityKind::graph, streams);
      activity.name = names.numberOf("graph");
      return timed(activity, graph, clockOffset);
    }
    case cupti::Kind::synchronization: {
      const auto& wait = as<cupti::Synchronization>(record);
      // The host only queues that one.
      if (wait.type == cupti::Wait::streamForEvent) return {};
      return timed(decodeWait(wait, names, streams), wait, clockOffset);
    }
    case cupti::Kind::externalCorrelation: {
      const auto& external = as<cupti::ExternalCorrelation>(record);
      Activity activity;
      activity.kind = ActivityKind::range;
      activity.correlation = external.correlation;
      activity.bytes = static_cast<double>(external.externalId);
      return {activity, false};
    }
    case cupti::Kind::driver:
      // Of no interest but for the ranges that come with it.
      return {};
  }
  return {};
}

}  // namespace tensorrt_node::profile
