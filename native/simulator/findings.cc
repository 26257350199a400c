#include "findings.h"

#include <utility>

namespace simulator {

namespace {

// A loop that goes wrong would otherwise fill the memory with its findings.
constexpr std::size_t mostFindings = 1000;

const char* nameOf(SimulatorFindingKind kind) {
  switch (kind) {
    case SIMULATOR_RACE:
      return "race";
    case SIMULATOR_USE_AFTER_FREE:
      return "use after free";
    case SIMULATOR_OUT_OF_BOUNDS:
      return "out of bounds";
    case SIMULATOR_DOUBLE_FREE:
      return "double free";
    case SIMULATOR_INVALID_FREE:
      return "invalid free";
    case SIMULATOR_LEAK:
      return "leak";
    case SIMULATOR_DEVICE_WIDE_SYNC:
      return "device-wide synchronise";
    case SIMULATOR_PAGEABLE_COPY:
      return "pageable copy";
    case SIMULATOR_DEAD_HANDLE:
      return "dead handle";
    case SIMULATOR_UNMAPPED:
      return "unmapped access";
    case SIMULATOR_INVALID_MAPPING:
      return "invalid mapping";
    case SIMULATOR_CALL_IN_HOST_FUNCTION:
      return "call in host function";
  }
  return "unknown";
}

}  // namespace

void Findings::add(SimulatorFindingKind kind, std::string message) {
  if (kinds_.size() >= mostFindings) return;
  kinds_.push_back(kind);
  messages_.push_back(std::string(nameOf(kind)) + ": " + std::move(message));
}

std::size_t Findings::list(const SimulatorFinding** findings) {
  listed_.clear();
  for (std::size_t i = 0; i < kinds_.size(); ++i) listed_.push_back({kinds_[i], messages_[i].c_str()});
  *findings = listed_.data();
  return listed_.size();
}

std::string Findings::text() const {
  std::string text;
  for (const std::string& message : messages_) text += message + "\n";
  return text;
}

}  // namespace simulator
