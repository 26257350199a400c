// TensorRT's log, one for the process: TensorRT itself keeps the first logger it is given.
#pragma once

#include <NvInferRuntime.h>

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
  Logger() = default;
};

// Collects the errors that TensorRT logs on this thread while it lives; of nested ones the innermost alone.
class LogCapture {
 public:
  LogCapture() noexcept;
  ~LogCapture();
  LogCapture(const LogCapture&) = delete;
  LogCapture& operator=(const LogCapture&) = delete;

  // Errors, in order; at most the last 20.
  const std::vector<std::string>& errors() const noexcept { return errors_; }
  // `what` and the errors logged: what a TensorrtError says.
  std::string explain(const std::string& what) const;

 private:
  friend class Logger;
  void add(nvinfer1::ILogger::Severity severity, const char* message);

  LogCapture* const outer_;
  std::vector<std::string> errors_;
};

}  // namespace tensorrt_node::tensorrt
