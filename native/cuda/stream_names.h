// The streams that live, by the names they were made with, for profilers that know streams by handles alone.
#pragma once

#include <cuda.h>

#include <functional>
#include <map>
#include <mutex>
#include <string>

namespace tensorrt_node::cuda {

class StreamNames {
 public:
  // The process's. Never destroyed, as streams may end later than anything else.
  static StreamNames& instance();

  using Listener = std::function<void(CUcontext context, CUstream stream, const std::string& name)>;

  void add(CUcontext context, CUstream stream, const std::string& name);
  void remove(CUstream stream) noexcept;
  // Tells of all streams that live, and from then on of each new one before any work is queued on it; null for nobody.
  // The listener must not make or end streams.
  void listen(Listener listener);

 private:
  struct Entry {
    CUcontext context;
    std::string name;
  };

  std::mutex mutex_;
  std::map<CUstream, Entry> streams_;
  Listener listener_;
};

}  // namespace tensorrt_node::cuda
