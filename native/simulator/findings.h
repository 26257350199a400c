// What the simulated driver holds against the program under test.
#pragma once

#include <cstddef>
#include <deque>
#include <string>
#include <vector>

#include "simulator.h"

namespace simulator {

class Findings {
 public:
  void add(SimulatorFindingKind kind, std::string message);
  std::size_t list(const SimulatorFinding** findings);
  // One line each.
  std::string text() const;
  bool empty() const noexcept { return kinds_.empty(); }

 private:
  std::vector<SimulatorFindingKind> kinds_;
  // A deque: the messages stay where they are.
  std::deque<std::string> messages_;
  std::vector<SimulatorFinding> listed_;
};

}  // namespace simulator
