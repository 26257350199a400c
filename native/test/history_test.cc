// The access history against a model that keeps every byte by itself.
#include "simulator/history.h"

#include <map>
#include <random>
#include <vector>

#include "check.h"

using simulator::Access;
using simulator::Clock;
using simulator::History;
using simulator::Timeline;

namespace {

constexpr std::size_t size = 64;

struct ByteModel {
  struct Byte {
    Access writer;
    std::vector<Access> readers;
  };
  std::vector<Byte> bytes;

  bool access(std::size_t begin, std::size_t end, bool write, const Access& access) {
    bool conflict = false;
    for (std::size_t i = begin; i < end; ++i) {
      conflict |= !simulator::ordered(bytes[i].writer, access);
      if (write) {
        for (const Access& reader : bytes[i].readers) conflict |= !simulator::ordered(reader, access);
        bytes[i] = {access, {}};
      } else {
        bytes[i].readers.push_back(access);
      }
    }
    return conflict;
  }
};

}  // namespace

TEST(the_history_agrees_with_a_byte_by_byte_model) {
  for (unsigned seed = 0; seed < 200; ++seed) {
    std::mt19937 random(seed);
    const auto below = [&](std::size_t limit) { return std::size_t{random()} % limit; };
    std::vector<Clock> clocks(4);
    const auto next = [&](Timeline timeline) {
      const std::uint64_t tick = clocks[timeline].advance(timeline);
      return Access{timeline, tick, std::make_shared<const Clock>(clocks[timeline]),
                    std::make_shared<const std::string>("")};
    };
    const Access allocation = next(0);
    for (Clock& clock : clocks) clock.join(clocks[0]);
    History history(size, allocation);
    ByteModel model{std::vector<ByteModel::Byte>(size, {allocation, {}})};
    for (int step = 0; step < 100; ++step) {
      if (below(3) == 0) clocks[below(4)].join(clocks[below(4)]);
      const std::size_t begin = below(size);
      const std::size_t end = begin + 1 + below(size - begin);
      const bool write = below(2) == 0;
      const Access access = next(below(4));
      bool conflict = false;
      history.access(begin, end, write, access, [&](const Access&, bool) { conflict = true; });
      CHECK_EQUAL(conflict, model.access(begin, end, write, access));
    }
  }
}

TEST(the_history_stays_small_where_accesses_are_equal) {
  Clock clock;
  const auto next = [&] {
    const std::uint64_t tick = clock.advance(1);
    return Access{1, tick, std::make_shared<const Clock>(clock), std::make_shared<const std::string>("")};
  };
  History history(size, next());
  const auto none = [](const Access&, bool) {};
  for (std::size_t i = 0; i < size; i += 8) history.access(i, i + 8, true, next(), none);
  CHECK_EQUAL(history.segments(), size / 8);
  history.access(0, size, true, next(), none);
  CHECK_EQUAL(history.segments(), 1U);
  const Access read = next();
  history.access(0, 32, false, read, none);
  CHECK_EQUAL(history.segments(), 2U);
  history.access(32, size, false, read, none);
  CHECK_EQUAL(history.segments(), 1U);
}
