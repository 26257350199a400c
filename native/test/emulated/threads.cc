#include "threads.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#if defined(__x86_64__)
// Saves the registers that a call keeps on this stack, and goes on where `to` was left.
extern "C" void emulatedSwitch(void** from, void* to);
asm(R"(
.text
emulatedSwitch:
  push %rbp
  push %rbx
  push %r12
  push %r13
  push %r14
  push %r15
  mov %rsp, (%rdi)
  mov %rsi, %rsp
  pop %r15
  pop %r14
  pop %r13
  pop %r12
  pop %rbx
  pop %rbp
  ret
)");
#else
#error "stacks are switched in the assembly of x86-64 only"
#endif

namespace emulated {

namespace {

constexpr std::size_t stackBytes = 64 << 10;
// Turns without anything happening, after which nothing will.
constexpr long patience = 100'000'000;

struct Thread {
  Index index;
  void* stack = nullptr;
  bool ended = false;
  std::unique_ptr<char[]> memory;
};

struct Warp {
  Message messages[2][32];
  int round = 0;
  int arrived = 0;
  long generation = 0;
};

struct Barrier {
  int arrived = 0;
  long generation = 0;
};

struct State {
  std::vector<Thread> threads;
  Barrier barriers[16];
  std::vector<Warp> warps;
  std::size_t count = 0;
  std::size_t current = 0;
  std::size_t alive = 0;
  std::size_t arrived = 0;
  long generation = 0;
  int any = 0;
  int anyBefore = 0;
  long turns = 0;
  void* caller = nullptr;
  void (*kernel)(Parameters) = nullptr;
  Parameters parameters{};
  Index block;
  Index size;
  Index grid;
  void* shared = nullptr;
};
State state;

void release() {
  state.arrived = 0;
  state.anyBefore = state.any;
  state.any = 0;
  ++state.generation;
  state.turns = 0;
}

void begin() {
  state.kernel(state.parameters);
  state.threads[state.current].ended = true;
  --state.alive;
  // Those that have ended are waited for no more.
  if (state.alive > 0 && state.arrived == state.alive) release();
  giveWay();
}

// How much of it the kernel takes is not known here: what comes after that is copied as well, and never used.
__attribute__((no_sanitize("address"))) void copyParameters(const void* from) {
  const auto* bytes = static_cast<const volatile unsigned char*>(from);
  for (std::size_t i = 0; i < sizeof state.parameters.bytes; ++i) state.parameters.bytes[i] = bytes[i];
}

void runBlock() {
  state.alive = state.count;
  state.arrived = 0;
  for (Warp& warp : state.warps) warp = {};
  for (Barrier& barrier : state.barriers) barrier = {};
  for (std::size_t i = 0; i < state.count; ++i) {
    Thread& each = state.threads[i];
    if (each.memory == nullptr) each.memory = std::make_unique<char[]>(stackBytes);
    each.index.x = static_cast<unsigned>(i);
    each.ended = false;
    // As if begin() had been called, and had saved its registers.
    auto** top = reinterpret_cast<void**>(reinterpret_cast<std::size_t>(each.memory.get() + stackBytes) & ~63UL);
    *--top = nullptr;
    *--top = reinterpret_cast<void*>(&begin);
    for (int saved = 0; saved < 6; ++saved) *--top = nullptr;
    each.stack = top;
  }
  state.current = 0;
  emulatedSwitch(&state.caller, state.threads[0].stack);
}

}  // namespace

void giveWay() {
  if (++state.turns > patience) {
    std::fprintf(stderr, "threads of block %u, %u, %u wait for each other\n", state.block.x, state.block.y,
                 state.block.z);
    std::abort();
  }
  Thread& from = state.threads[state.current];
  for (std::size_t i = 1; i <= state.count; ++i) {
    const std::size_t next = (state.current + i) % state.count;
    Thread& to = state.threads[next];
    if (to.ended) continue;
    if (&to == &from) return;
    state.current = next;
    emulatedSwitch(&from.stack, to.stack);
    return;
  }
  emulatedSwitch(&from.stack, state.caller);
}

void happened() {
  state.turns = 0;
}

const Index& thread() {
  return state.threads[state.current].index;
}
int lane() {
  return static_cast<int>(state.current % 32);
}
const Index& block() {
  return state.block;
}
const Index& threads() {
  return state.size;
}
const Index& grid() {
  return state.grid;
}
void* launchedShared() {
  return state.shared;
}

int wait(int predicate) {
  const long generation = state.generation;
  if (predicate != 0) state.any = 1;
  if (++state.arrived == state.alive) release();
  while (state.generation == generation) giveWay();
  return state.anyBefore;
}

void waitAt(int barrier, int threads) {
  Barrier& at = state.barriers[barrier];
  const long generation = at.generation;
  if (++at.arrived == threads) {
    at = {0, generation + 1};
    state.turns = 0;
  }
  waitWhile([&] { return at.generation == generation; });
}

const Message* exchange(const void* mine, std::size_t bytes) {
  if (bytes > sizeof(Message)) std::abort();
  Warp& warp = state.warps[state.current / 32];
  Message* messages = warp.messages[warp.round];
  std::memcpy(messages[state.current % 32].bytes, mine, bytes);
  const long generation = warp.generation;
  if (++warp.arrived == 32) {
    warp.arrived = 0;
    warp.round ^= 1;
    ++warp.generation;
    state.turns = 0;
  }
  while (warp.generation == generation) giveWay();
  return messages;
}

void launch(void (*kernel)(), const void* parameters, Index grid, unsigned threads, std::size_t sharedBytes) {
  if (threads == 0 || threads % 32 != 0) std::abort();
  state.kernel = reinterpret_cast<void (*)(Parameters)>(kernel);
  copyParameters(parameters);
  state.count = threads;
  state.size = {threads, 1, 1};
  state.grid = grid;
  if (state.threads.size() < threads) state.threads.resize(threads);
  state.warps.resize(threads / 32);
  Index& block = state.block;
  for (block.z = 0; block.z < grid.z; ++block.z)
    for (block.y = 0; block.y < grid.y; ++block.y)
      for (block.x = 0; block.x < grid.x; ++block.x) {
        const std::unique_ptr<char, void (*)(void*)> shared(
            static_cast<char*>(std::aligned_alloc(128, (sharedBytes + 128) / 128 * 128)), &std::free);
        std::memset(shared.get(), 0xFF, sharedBytes);
        state.shared = shared.get();
        runBlock();
      }
}

}  // namespace emulated
