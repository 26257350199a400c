#include "logger.h"

#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <new>

namespace tensorrt_node::tensorrt {
namespace {

using Severity = nvinfer1::ILogger::Severity;

constexpr std::size_t kKept = 20;

// Below kINTERNAL_ERROR, so that nothing is echoed.
std::atomic<int> echoed{-1};
thread_local LogCapture* capturing = nullptr;

char letter(Severity severity) noexcept {
  switch (severity) {
    case Severity::kINTERNAL_ERROR:
      return 'F';
    case Severity::kERROR:
      return 'E';
    case Severity::kWARNING:
      return 'W';
    case Severity::kINFO:
      return 'I';
    case Severity::kVERBOSE:
      return 'V';
  }
  return 'V';
}

// One line, whatever the message holds, in as few writes as the system takes.
void writeLine(Severity severity, const char* message) {
  std::string line = "[tensorrt] ";
  line += letter(severity);
  line += ' ';
  for (const char* each = message; *each != '\0'; ++each) line += *each == '\n' ? ' ' : *each;
  line += '\n';
  for (std::size_t written = 0; written < line.size();) {
    const ::ssize_t count = ::write(STDERR_FILENO, line.data() + written, line.size() - written);
    // Nobody reads: a log is not worth failing for.
    if (count <= 0) return;
    written += static_cast<std::size_t>(count);
  }
}

}  // namespace

Logger& Logger::instance() noexcept {
  alignas(Logger) static std::byte storage[sizeof(Logger)];
  static Logger* const logger = ::new (static_cast<void*>(storage)) Logger;
  return *logger;
}

void Logger::echo(Severity least) noexcept {
  echoed.store(static_cast<int>(least), std::memory_order_relaxed);
}

void Logger::log(Severity severity, const char* message) noexcept {
  // Memory may have run out; a line is lost then.
  try {
    if (static_cast<int>(severity) <= echoed.load(std::memory_order_relaxed)) writeLine(severity, message);
    if (capturing != nullptr) capturing->add(severity, message);
  } catch (...) {
    return;
  }
}

LogCapture::LogCapture() noexcept : outer_(capturing) {
  capturing = this;
}

LogCapture::~LogCapture() {
  capturing = outer_;
}

void LogCapture::add(Severity severity, const char* message) {
  if (severity > Severity::kERROR) return;
  if (errors_.size() == kKept) errors_.erase(errors_.begin());
  errors_.emplace_back(message);
}

std::string LogCapture::explain(const std::string& what) const {
  std::string text = what;
  for (const std::string& error : errors_) text += "\n  " + error;
  return text;
}

}  // namespace tensorrt_node::tensorrt
