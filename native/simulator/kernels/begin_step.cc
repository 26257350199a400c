// References: what the rows of a decode step are.
#include "element.h"
#include "references.h"

namespace simulator::kernels {

void beginStep(const BeginStepParameters& p) {
  p.runStarts[p.rows] = p.rows;
  for (std::int32_t row = 0; row < p.rows; ++row) {
    const std::int32_t slot = p.slots[row];
    const bool runs = slot >= 0 && p.states[slot].running != 0;
    p.tokens[row] = runs ? p.states[slot].token : 0;
    p.positions[row] = runs ? p.states[slot].position : 0;
    p.runSlots[row] = runs ? slot : -1;
    p.runStarts[row] = row;
  }
}

std::vector<Touch> touches(const BeginStepParameters& p) {
  const std::size_t bytes = at(p.rows) * sizeof(std::int32_t);
  return {reads(p.slots, bytes), writes(p.tokens, bytes), writes(p.positions, bytes), writes(p.runSlots, bytes),
          writes(p.runStarts, bytes + sizeof(std::int32_t))};
}

}  // namespace simulator::kernels
