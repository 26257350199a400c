// What tests on the simulated driver share.
#pragma once

#include <cuda.h>

#include <string>
#include <vector>

#include "check.h"
#include "cuda/context.h"
#include "cuda/driver.h"
#include "simulator/simulator.h"

namespace test {

struct Finding {
  SimulatorFindingKind kind;
  std::string message;
};

// What the simulator found so far, which is forgotten with that: a test that ends with findings left fails.
inline std::vector<Finding> takeFindings() {
  const SimulatorFinding* list = nullptr;
  const std::size_t count = simulatorFindings(&list);
  std::vector<Finding> found;
  for (std::size_t i = 0; i < count; ++i) found.push_back({list[i].kind, list[i].message});
  simulatorClearFindings();
  return found;
}

inline std::string describe(const std::vector<Finding>& findings) {
  std::string text;
  for (const Finding& each : findings) text += "\n    " + each.message;
  return text;
}

// Exactly one finding, of this kind; its message.
inline std::string takeOnlyFinding(SimulatorFindingKind kind) {
  const auto found = takeFindings();
  if (found.size() != 1 || found[0].kind != kind)
    throw check::Failure("expected one finding of kind " + std::to_string(kind) + ", got " +
                         std::to_string(found.size()) + ":" + describe(found));
  return found[0].message;
}

inline void expectNoFindings() {
  simulatorFindLeaks();
  const auto found = takeFindings();
  if (!found.empty()) throw check::Failure("the simulated driver found:" + describe(found));
}

inline std::shared_ptr<const tensorrt_node::cuda::Context> context() {
  return tensorrt_node::cuda::Context::retain(0);
}

// Makes operations take real time, so that host code gets ahead of them.
inline void slowDown(std::uint64_t operationNs, std::uint64_t jitterNs = 0, std::uint64_t seed = 1) {
  SimulatorConfig config = simulatorDefaults();
  config.operationNs = operationNs;
  config.jitterNs = jitterNs;
  config.seed = seed;
  simulatorConfigure(&config);
}

}  // namespace test
