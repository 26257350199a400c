// Marks around steps' work on a stream, for recordings without CUPTI: when the GPU worked for each.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "cuda/event.h"
#include "cuda/stream.h"
#include "step.h"

namespace tensorrt_node::profile {

// Of one stream, for the thread that queues on it. What fails here is missed, and changes nothing for the steps.
class StepTimer {
 public:
  explicit StepTimer(const cuda::Stream& stream);

  // What this thread queues meanwhile is a step's work, where a collection wants it timed.
  class Mark {
   public:
    explicit Mark(StepTimer& timer) noexcept;
    ~Mark();
    Mark(const Mark&) = delete;
    Mark& operator=(const Mark&) = delete;

   private:
    StepTimer& timer_;
    bool begun_;
  };

  // Tells the collector of those that are over. Never waits for a step.
  void poll() noexcept;

 private:
  // A moment of the GPU whose time the host knows.
  struct Anchor {
    cuda::Event event;
    std::int64_t time;
  };
  struct Timed {
    cuda::Event begin;
    cuda::Event end;
    std::shared_ptr<const Anchor> anchor;
    std::uint64_t step = 0;
    Phase phase = Phase::decode;
  };
  // Steps under way, which are fewer.
  static constexpr std::size_t most = 256;

  bool begin() noexcept;
  void end() noexcept;
  void renewAnchor();
  void tell(const Timed& timed) const;

  const cuda::Stream stream_;
  // What collections call it; CUPTI's number is not known.
  const std::uint32_t number_;
  // Nothing waits there, so that an anchor passes at once.
  std::optional<cuda::Stream> anchors_;
  std::shared_ptr<const Anchor> anchor_;
  std::deque<Timed> underWay_;
  std::vector<Timed> spare_;
};

}  // namespace tensorrt_node::profile
