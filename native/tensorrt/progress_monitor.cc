#include "progress_monitor.h"

#include <exception>

namespace tensorrt_node::tensorrt {

void ProgressMonitor::phaseStart(const char* phase, const char* parent, std::int32_t steps) noexcept {
  tell(Progress::Event::start, phase, parent == nullptr ? "" : parent, steps, 0);
}

bool ProgressMonitor::stepComplete(const char* phase, std::int32_t step) noexcept {
  tell(Progress::Event::step, phase, "", 0, step);
  return !control_.stopped();
}

void ProgressMonitor::phaseFinish(const char* phase) noexcept {
  tell(Progress::Event::finish, phase, "", 0, 0);
}

void ProgressMonitor::tell(Progress::Event event, const char* phase, const char* parent, std::int32_t steps,
                           std::int32_t step) noexcept {
  try {
    listener_.progress({event, phase, parent, steps, step});
  } catch (...) {
    control_.fail(std::current_exception());
  }
}

}  // namespace tensorrt_node::tensorrt
