// What goes wrong with TensorRT: missing libraries, versions that do not serve, calls that fail.
#pragma once

#include <stdexcept>
#include <string>
#include <utility>

namespace tensorrt_node::tensorrt {

class TensorrtError : public std::runtime_error {
 public:
  // `call` is the function that failed; `hint` says what the user can do, or is empty.
  TensorrtError(std::string call, const std::string& message, std::string hint = {})
      : std::runtime_error(message), call_(std::move(call)), hint_(std::move(hint)) {}

  const std::string& call() const noexcept { return call_; }
  const std::string& hint() const noexcept { return hint_; }

 private:
  std::string call_;
  std::string hint_;
};

// The loaded TensorRT lacks what is asked for.
class UnsupportedError : public std::runtime_error {
 public:
  explicit UnsupportedError(const std::string& message, std::string hint = {})
      : std::runtime_error(message), hint_(std::move(hint)) {}

  const std::string& hint() const noexcept { return hint_; }

 private:
  std::string hint_;
};

// The caller cancelled the work.
class AbortedError : public std::runtime_error {
 public:
  AbortedError() : std::runtime_error("the operation was aborted") {}
};

}  // namespace tensorrt_node::tensorrt
