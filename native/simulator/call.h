// The frame of every simulated driver function: counts it, fails it on request, and checks what any call needs.
#pragma once

#include <string_view>
#include <utility>

#include "world.h"

#define SIMULATOR_TEXT(name) #name
// The versioned symbol that cuda.h maps a name to.
#define SIMULATOR_SYMBOL(name) SIMULATOR_TEXT(name)

namespace simulator {

enum class Needs { nothing, initialised, context };

// What the call must fail with before it does anything, or CUDA_SUCCESS.
CUresult refuse(World& state, std::string_view symbol, Needs needs);

// `body` is called with the world and its lock.
template <typename Body>
CUresult call(std::string_view symbol, Needs needs, Body body) {
  World& state = world();
  Lock lock(state.mutex);
  if (const CUresult result = refuse(state, symbol, needs); result != CUDA_SUCCESS) return result;
  if (const auto result = state.faults.called(symbol)) return *result;
  return body(state, lock);
}

// For calls that free or destroy: the failure they report is of earlier work, and they do theirs all the same.
template <typename Body>
CUresult callThatFrees(std::string_view symbol, Needs needs, Body body) {
  World& state = world();
  Lock lock(state.mutex);
  if (const CUresult result = refuse(state, symbol, needs); result != CUDA_SUCCESS) return result;
  const CUresult fault = state.faults.called(symbol).value_or(CUDA_SUCCESS);
  const CUresult result = body(state, lock);
  return fault != CUDA_SUCCESS ? fault : result;
}

// The device of the context current on this thread, which there is.
int currentDevice();
CUcontext contextOf(int device) noexcept;
int deviceOf(CUcontext context) noexcept;

}  // namespace simulator
