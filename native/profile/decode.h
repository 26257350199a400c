// From CUPTI's records to activities.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <utility>

#include "activity.h"
#include "names.h"
#include "records.h"

namespace tensorrt_node::profile {

// Numbers of names, by CUPTI's numbers of the context and the stream.
using StreamNameNumbers = std::map<std::pair<std::uint32_t, std::uint32_t>, std::uint32_t>;

struct Decoded {
  // Nothing for a record of no interest, or of work that has not ended.
  std::optional<Activity> activity;
  bool unfinished = false;
};

// `clockOffset` is added to CUPTI's times, in nanoseconds.
Decoded decode(const cupti::Record& record, std::int64_t clockOffset, Names& names, const StreamNameNumbers& streams);

}  // namespace tensorrt_node::profile
