// Settings from the environment variable TENSORRT_NODE_SIMULATOR, for programs that cannot call simulator.h.
#pragma once

namespace simulator {

struct World;

// Sets the world up, and what is to happen at exit. A setting that makes no sense is told on stderr, and cuInit fails.
void applyEnvironment(World& world);

}  // namespace simulator
