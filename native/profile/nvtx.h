// Ranges for Nsight Systems and other tools that hear NVTX: steps, requests, loads of models, in the domain
// 'tensorrt-node'. Where no tool listens they cost a branch.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "nvtx_abi.h"

namespace tensorrt_node::profile {

// The tool that listens. Safe from any thread.
class NvtxTool {
 public:
  // The process's: of the library that NVTX_INJECTION64_PATH names, as it is when this is first called. Null for none.
  static const NvtxTool* current() noexcept;
  // For tests: of that library. Null where it cannot be loaded, or does not want to listen. One at a time.
  static const NvtxTool* load(const char* library) noexcept;

  void push(const char* message, std::uint64_t payload) const noexcept;
  void pop() const noexcept;
  std::uint64_t start(const char* message, std::uint64_t payload) const noexcept;
  void end(std::uint64_t range) const noexcept;

 private:
  nvtx::Domain domain_ = nullptr;
  nvtx::RangeStart start_ = nullptr;
  nvtx::RangeEnd end_ = nullptr;
  nvtx::RangePush push_ = nullptr;
  nvtx::RangePop pop_ = nullptr;
};

// A part of what this thread does.
class NvtxRange {
 public:
  NvtxRange() noexcept = default;
  // `message` makes the text; only called where somebody listens.
  template <typename Message>
  explicit NvtxRange(Message message, std::uint64_t payload = 0) noexcept : tool_(NvtxTool::current()) {
    if (tool_ == nullptr) return;
    try {
      tool_->push(std::string(message()).c_str(), payload);
    } catch (...) {
      // No memory for the text.
      tool_->push("", payload);
    }
  }
  ~NvtxRange() {
    if (tool_ != nullptr) tool_->pop();
  }
  NvtxRange(const NvtxRange&) = delete;
  NvtxRange& operator=(const NvtxRange&) = delete;

 private:
  const NvtxTool* tool_ = nullptr;
};

// The same for what may end on another thread, and overlap others.
class NvtxSpan {
 public:
  NvtxSpan() noexcept = default;
  template <typename Message>
  explicit NvtxSpan(Message message, std::uint64_t payload = 0) noexcept : tool_(NvtxTool::current()) {
    if (tool_ == nullptr) return;
    try {
      number_ = tool_->start(std::string(message()).c_str(), payload);
    } catch (...) {
      number_ = tool_->start("", payload);
    }
  }
  ~NvtxSpan() {
    if (tool_ != nullptr) tool_->end(number_);
  }
  NvtxSpan(NvtxSpan&& other) noexcept : tool_(std::exchange(other.tool_, nullptr)), number_(other.number_) {}
  NvtxSpan& operator=(NvtxSpan&& other) noexcept {
    std::swap(tool_, other.tool_);
    std::swap(number_, other.number_);
    return *this;
  }

 private:
  const NvtxTool* tool_ = nullptr;
  std::uint64_t number_ = 0;
};

}  // namespace tensorrt_node::profile
