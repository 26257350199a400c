#include "faults.h"

#include <utility>

namespace simulator {

namespace {

// Those that only make a context current are left out of "all calls": without them no destructor could free anything.
bool isCounted(std::string_view symbol) {
  return !symbol.starts_with("cuCtx");
}

}  // namespace

void Faults::plan(std::string symbol, std::uint64_t nth, std::uint64_t count, CUresult code) {
  faults_.push_back({std::move(symbol), nth == 0 ? 0 : nth - 1, count, code});
}

std::optional<CUresult> Faults::called(std::string_view symbol) {
  if (isCounted(symbol)) ++allCalls_;
  auto found = calls_.find(symbol);
  if (found == calls_.end()) found = calls_.emplace(symbol, 0).first;
  ++found->second;

  std::optional<CUresult> code;
  for (Fault& fault : faults_) {
    if (fault.symbol.empty() ? !isCounted(symbol) : fault.symbol != symbol) continue;
    if (fault.before > 0) {
      --fault.before;
    } else if (fault.count > 0) {
      --fault.count;
      if (!code) code = fault.code;
    }
  }
  return code;
}

std::uint64_t Faults::calls(std::string_view symbol) const {
  if (symbol.empty()) return allCalls_;
  const auto found = calls_.find(symbol);
  return found == calls_.end() ? 0 : found->second;
}

}  // namespace simulator
