#include "history.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace simulator {

namespace {

bool same(const Access& left, const Access& right) {
  return left.timeline == right.timeline && left.tick == right.tick;
}

}  // namespace

bool ordered(const Access& left, const Access& right) noexcept {
  return left.timeline == right.timeline || right.known->knows(left.timeline, left.tick) ||
         left.known->knows(right.timeline, right.tick);
}

History::History(std::size_t bytes, Access allocation) : bytes_(bytes) {
  segments_.emplace(0, Segment{std::move(allocation), {}});
}

void History::access(std::size_t begin, std::size_t end, bool write, const Access& access, const Conflict& conflict) {
  if (begin >= end) return;
  const auto first = split(begin);
  const auto last = split(end);
  bool told = false;
  const auto check = [&](const Access& earlier, bool wrote) {
    if (told || ordered(earlier, access)) return;
    told = true;
    conflict(earlier, wrote);
  };
  for (auto segment = first; segment != last; ++segment) {
    check(segment->second.writer, true);
    auto& readers = segment->second.readers;
    if (write) {
      for (const Access& reader : readers) check(reader, false);
      continue;
    }
    // Whoever is ordered after this read is ordered after the reads it knows of as well.
    std::erase_if(readers, [&](const Access& reader) { return access.known->knows(reader.timeline, reader.tick); });
    readers.push_back(access);
  }
  if (write) {
    first->second = Segment{access, {}};
    segments_.erase(std::next(first), last);
  }
  mergeFrom(begin, end);
}

const Access* History::unknownTo(const Clock& known) const {
  const auto unknown = [&](const Access& access) { return !known.knows(access.timeline, access.tick); };
  for (const auto& [begin, segment] : segments_) {
    if (unknown(segment.writer)) return &segment.writer;
    const auto reader = std::find_if(segment.readers.begin(), segment.readers.end(), unknown);
    if (reader != segment.readers.end()) return &*reader;
  }
  return nullptr;
}

// The segment that begins at `at`, made if need be; the end beyond the last byte.
History::Segments::iterator History::split(std::size_t at) {
  if (at >= bytes_) return segments_.end();
  const auto next = segments_.upper_bound(at);
  const auto containing = std::prev(next);
  if (containing->first == at) return containing;
  return segments_.emplace_hint(next, at, containing->second);
}

// Joins equal neighbours, so that the history stays as small as what it says.
void History::mergeFrom(std::size_t begin, std::size_t end) {
  auto segment = segments_.find(begin);
  if (segment != segments_.begin()) --segment;
  for (auto next = std::next(segment); next != segments_.end() && next->first <= end; next = std::next(segment)) {
    const Segment& left = segment->second;
    const Segment& right = next->second;
    if (same(left.writer, right.writer) &&
        std::equal(left.readers.begin(), left.readers.end(), right.readers.begin(), right.readers.end(), same)) {
      segments_.erase(next);
    } else {
      segment = next;
    }
  }
}

}  // namespace simulator
