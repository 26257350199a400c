// Blocks of emulated threads.
#pragma once

#include <cstddef>

namespace emulated {

struct Index {
  unsigned x = 0;
  unsigned y = 0;
  unsigned z = 0;
};

// Of the thread that runs.
const Index& thread();
int lane();
const Index& block();
const Index& threads();
const Index& grid();
void* launchedShared();

// Until all threads of the block that have not ended are here; whether any of them said so.
int wait(int predicate);
// Until `threads` threads are at one of the block's other barriers.
void waitAt(int barrier, int threads);
// Lets other threads run. Ends the process when none of them has anything left to do but wait.
void giveWay();
// Something else has, so that waiting goes on.
void happened();
// Until other threads have changed it.
template <typename Condition>
void waitWhile(const Condition& holds) {
  while (holds()) giveWay();
}

struct Message {
  unsigned char bytes[32];
};
// What each lane of the warp brought, once all have; good until this thread's next exchange but one.
const Message* exchange(const void* mine, std::size_t bytes);

// Runs a grid to its end. Its one parameter is `parameters`. Ends the process when threads wait for each other for
// ever.
void launch(void (*kernel)(), const void* parameters, Index grid, unsigned threads, std::size_t sharedBytes);

// Larger than any kernel's struct: those are passed in memory, so that its beginning is what a kernel sees.
struct Parameters {
  unsigned char bytes[512];
};

}  // namespace emulated
