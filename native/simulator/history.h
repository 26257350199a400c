// Who last wrote and who has read each byte of an allocation since: enough to tell every race.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "clock.h"

namespace simulator {

struct Access {
  Timeline timeline = hostTimeline;
  std::uint64_t tick = 0;
  // All that was ordered before it.
  std::shared_ptr<const Clock> known;
  // "cuMemcpyHtoDAsync on stream 2".
  std::shared_ptr<const std::string> what;
};

// Whether one of them is ordered before the other.
bool ordered(const Access& left, const Access& right) noexcept;

class History {
 public:
  // Nobody but the one who allocated knows of the memory yet.
  History(std::size_t bytes, Access allocation);

  // Called with the earlier access, and whether that one wrote; once for each access() at most.
  using Conflict = std::function<void(const Access& earlier, bool earlierWrote)>;
  void access(std::size_t begin, std::size_t end, bool write, const Access& access, const Conflict& conflict);

  // Any access that `known` does not cover, or null.
  const Access* unknownTo(const Clock& known) const;
  // How many pieces the history has; for tests of its own upkeep.
  std::size_t segments() const noexcept { return segments_.size(); }

 private:
  struct Segment {
    Access writer;
    std::vector<Access> readers;
  };
  using Segments = std::map<std::size_t, Segment>;

  Segments::iterator split(std::size_t at);
  void mergeFrom(std::size_t begin, std::size_t end);

  std::size_t bytes_;
  // By first byte; each reaches to the next.
  Segments segments_;
};

}  // namespace simulator
