// What activities are made of records, field by field.
#include "profile/decode.h"

#include <string>

#include "simulated.h"

namespace cupti = tensorrt_node::profile::cupti;
using namespace tensorrt_node::profile;

namespace {

template <typename Record>
Decoded decoded(const Record& record, Names& names, const StreamNameNumbers& streams = {}, std::int64_t offset = 0) {
  return decode(reinterpret_cast<const cupti::Record&>(record), offset, names, streams);
}

// The same, of a record that is an activity.
template <typename Record>
Activity activity(const Record& record, Names& names, const StreamNameNumbers& streams = {}) {
  const Decoded result = decoded(record, names, streams);
  CHECK(result.activity.has_value());
  return *result.activity;
}

cupti::Kernel kernel() {
  cupti::Kernel record{};
  record.kind = cupti::Kind::concurrentKernel;
  record.start = 1000;
  record.end = 2500;
  record.device = 1;
  record.context = 3;
  record.stream = 7;
  record.name = "_Z3foov";
  return record;
}

}  // namespace

TEST(profile_decode_moves_times_to_the_origin) {
  Names names;
  const auto result = decoded(kernel(), names, {}, -400);
  CHECK(result.activity.has_value());
  CHECK_EQUAL(result.activity->start, 600.0);
  CHECK_EQUAL(result.activity->end, 2100.0);
}

TEST(profile_decode_adds_both_kinds_of_shared_memory) {
  Names names;
  cupti::Kernel record = kernel();
  record.staticSharedBytes = 100;
  record.dynamicSharedBytes = 2000;
  record.registersPerThread = 40;
  const auto result = decoded(record, names);
  CHECK_EQUAL(result.activity->sharedBytes, 2100U);
  CHECK_EQUAL(result.activity->registers, 40U);
}

TEST(profile_decode_tells_streams_of_one_number_in_two_contexts_apart) {
  Names names;
  const StreamNameNumbers streams{{{3, 7}, 11}, {{4, 7}, 12}};
  cupti::Kernel record = kernel();
  CHECK_EQUAL(activity(record, names, streams).streamName, 11U);
  record.context = 4;
  CHECK_EQUAL(activity(record, names, streams).streamName, 12U);
  record.context = 5;
  CHECK_EQUAL(activity(record, names, streams).streamName, 0U);
}

TEST(profile_decode_counts_work_without_an_end_or_with_one_before_its_start_as_unfinished) {
  Names names;
  cupti::Kernel record = kernel();
  for (const std::uint64_t end : {std::uint64_t{0}, record.start - 1}) {
    record.end = end;
    const auto result = decoded(record, names);
    CHECK(!result.activity.has_value());
    CHECK(result.unfinished);
  }
}

TEST(profile_decode_leaves_out_what_it_does_not_know) {
  Names names;
  cupti::Kernel record = kernel();
  // CUPTI_ACTIVITY_KIND_DRIVER.
  record.kind = static_cast<cupti::Kind>(4);
  const auto result = decoded(record, names);
  CHECK(!result.activity.has_value());
  CHECK(!result.unfinished);
}

TEST(profile_decode_finds_the_direction_of_copies_by_kind_and_else_by_memory) {
  Names names;
  cupti::Copy record{};
  record.kind = cupti::Kind::copy;
  record.start = record.end = 1;
  record.copyKind = cupti::CopyKind::toHost;
  CHECK_EQUAL(activity(record, names).direction, Direction::toHost);
  record.copyKind = static_cast<cupti::CopyKind>(0);
  record.from = cupti::Memory::pinned;
  record.to = cupti::Memory::device;
  CHECK_EQUAL(activity(record, names).direction, Direction::toDevice);
  record.to = cupti::Memory::pageable;
  const auto onHost = decoded(record, names);
  CHECK_EQUAL(onHost.activity->direction, Direction::none);
  CHECK_EQUAL(onHost.activity->pageable, 1U);
}

TEST(profile_decode_tells_copies_between_gpus) {
  Names names;
  cupti::PeerCopy record{};
  record.kind = cupti::Kind::peerCopy;
  record.start = record.end = 1;
  record.copyKind = cupti::CopyKind::peer;
  record.bytes = 12;
  record.correlation = 5;
  const auto result = decoded(record, names);
  CHECK_EQUAL(result.activity->direction, Direction::onDevice);
  CHECK_EQUAL(result.activity->bytes, 12.0);
  CHECK_EQUAL(result.activity->correlation, 5U);
}

TEST(profile_decode_tells_waits_of_the_host_alone) {
  Names names;
  cupti::Synchronization record{};
  record.kind = cupti::Kind::synchronization;
  record.start = record.end = 1;
  record.type = cupti::Wait::streamForEvent;
  CHECK(!decoded(record, names).activity.has_value());
  record.type = cupti::Wait::context;
  record.stream = ~std::uint32_t{0};
  const auto result = decoded(record, names);
  CHECK_EQUAL(result.activity->stream, 0U);
  CHECK(names.takeNew() == std::vector<std::string>{"wait for the device"});
}

TEST(profile_names_are_demangled_once_and_plain_words_left_alone) {
  Names names;
  CHECK_EQUAL(names.numberOfFunction("_Z3foov"), 1U);
  CHECK_EQUAL(names.numberOfFunction("f"), 2U);
  CHECK_EQUAL(names.numberOfFunction("_Z3foov"), 1U);
  CHECK_EQUAL(names.numberOfFunction("_Znot mangled"), 3U);
  CHECK_EQUAL(names.numberOfFunction(nullptr), 4U);
  const std::vector<std::string> expected{"foo()", "f", "_Znot mangled", "a kernel without a name"};
  const auto fresh = names.takeNew();
  CHECK(fresh == expected);
  CHECK(names.takeNew().empty());
}
