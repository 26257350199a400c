#include "logger.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <new>
#include <utility>

namespace tensorrt_node::tensorrt {
namespace {

using Severity = nvinfer1::ILogger::Severity;

constexpr std::size_t kKept = 20;
constexpr int kPatienceMs = 5000;

// Below kINTERNAL_ERROR, so that nothing is echoed.
std::atomic<int> echoed{-1};
thread_local LogCapture* capturing = nullptr;

void append(std::vector<std::string>& kept, const char* message) {
  if (kept.size() == kKept) kept.erase(kept.begin());
  kept.emplace_back(message);
}

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

// After a write that failed. Node makes pipes non-blocking, and the reader of a long log may be late.
bool canGoOn(int error) noexcept {
  if (error == EINTR) return true;
  if (error != EAGAIN) return false;
  ::pollfd reader{STDERR_FILENO, POLLOUT, 0};
  return ::poll(&reader, 1, kPatienceMs) > 0;
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
    if (count > 0) {
      written += static_cast<std::size_t>(count);
    } else if (!canGoOn(errno)) {
      // Nobody reads: a log is not worth failing for.
      return;
    }
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
    if (severity > Severity::kERROR) return;
    if (capturing != nullptr) {
      capturing->add(message);
    } else {
      addStray(message);
    }
  } catch (...) {
    return;
  }
}

void Logger::addStray(const char* message) {
  const std::lock_guard lock(mutex_);
  append(stray_, message);
  strayCount_.fetch_add(1, std::memory_order_release);
}

std::vector<std::string> Logger::strayAfter(std::uint64_t count) const {
  const std::lock_guard lock(mutex_);
  const std::uint64_t after = strayCount_.load(std::memory_order_relaxed) - count;
  const auto wanted = static_cast<std::ptrdiff_t>(std::min<std::uint64_t>(after, stray_.size()));
  return {stray_.end() - wanted, stray_.end()};
}

LogCapture::LogCapture() noexcept
    : outer_(capturing), strayBefore_(Logger::instance().strayCount_.load(std::memory_order_acquire)) {
  capturing = this;
}

LogCapture::~LogCapture() {
  capturing = outer_;
}

void LogCapture::attach(std::exception_ptr cause) noexcept {
  // The first is what the others follow from.
  if (capturing != nullptr && capturing->cause_ == nullptr) capturing->cause_ = std::move(cause);
}

void LogCapture::add(const char* message) {
  append(errors_, message);
}

std::vector<std::string> LogCapture::errors() const {
  return errors_.empty() ? Logger::instance().strayAfter(strayBefore_) : errors_;
}

std::string LogCapture::explain(const std::string& what) const {
  return withLines(what, errors());
}

std::string withLines(const std::string& what, const std::vector<std::string>& lines) {
  std::string text = what;
  if (!lines.empty()) text += ':';
  for (const std::string& line : lines) text += "\n  " + line;
  return text;
}

}  // namespace tensorrt_node::tensorrt
