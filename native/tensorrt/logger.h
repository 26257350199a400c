// TensorRT's log, one for the process: TensorRT itself keeps the first logger it is given.
#pragma once

#include <NvInferRuntime.h>

#include <atomic>
#include <cstdint>
#include <exception>
#include <mutex>
#include <string>
#include <vector>

namespace tensorrt_node::tensorrt {

// Never destroyed, as TensorRT may log until the process ends.
class Logger final : public nvinfer1::ILogger {
 public:
  static Logger& instance() noexcept;

  // From now on lines of at least this severity are also written to standard error, at once and unbuffered, so that
  // they outlive an abort: "[tensorrt] W a line". Severities: F (internal error), E, W, I, V.
  void echo(Severity least) noexcept;

  void log(Severity severity, const char* message) noexcept override;

 private:
  friend class LogCapture;
  Logger() = default;
  void addStray(const char* message);
  // The last 20 at the most of those that came after the first `count`.
  std::vector<std::string> strayAfter(std::uint64_t count) const;

  mutable std::mutex mutex_;
  // Errors logged on threads that capture nothing, which are TensorRT's own: the last 20, and how many there were.
  std::vector<std::string> stray_;
  std::atomic<std::uint64_t> strayCount_ = 0;
};

// `what`, a colon and the lines below it; `what` alone when there are none.
std::string withLines(const std::string& what, const std::vector<std::string>& lines);

// Collects the errors that TensorRT logs on this thread while it lives; of nested ones the innermost alone.
class LogCapture {
 public:
  LogCapture() noexcept;
  ~LogCapture();
  LogCapture(const LogCapture&) = delete;
  LogCapture& operator=(const LogCapture&) = delete;

  // Errors, in order; at most the last 20. Where this thread logged none, what TensorRT's own threads logged meanwhile:
  // they work for whoever calls it.
  std::vector<std::string> errors() const;
  // The exception that one of our own callbacks ended with, and TensorRT made an error of; null for none.
  std::exception_ptr cause() const noexcept { return cause_; }
  // For callbacks: gives the exception to the innermost capture on this thread, if there is one.
  static void attach(std::exception_ptr cause) noexcept;
  // `what` and the errors logged: what a TensorrtError says.
  std::string explain(const std::string& what) const;

 private:
  friend class Logger;
  void add(const char* message);

  LogCapture* const outer_;
  const std::uint64_t strayBefore_;
  std::vector<std::string> errors_;
  std::exception_ptr cause_;
};

}  // namespace tensorrt_node::tensorrt
