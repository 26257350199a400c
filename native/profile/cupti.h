// CUPTI, NVIDIA's library that tells what the GPU does, behind a table that is filled at run time.
#pragma once

#include <cuda.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "records.h"
#include "tensorrt/shared_library.h"

namespace tensorrt_node::profile {

class Cupti {
 public:
  // The first of the candidates, paths or bare names, that serves. Throws tensorrt::UnsupportedError that says of each
  // why it does not. The library stays in memory until the process ends, as the driver keeps calling it.
  static Cupti open(const std::vector<std::string>& candidates);

  using RequestBuffer = void (*)(std::uint8_t** buffer, std::size_t* bytes, std::size_t* mostRecords);
  using CompleteBuffer = void (*)(CUcontext context, std::uint32_t stream, std::uint8_t* buffer, std::size_t bytes,
                                  std::size_t validBytes);
  using Timestamp = std::uint64_t (*)();

  // Throws tensorrt::UnsupportedError, with what the user can do, unless `result` is CUPTI_SUCCESS.
  void check(int result, const char* call) const;

  const std::string& path() const noexcept { return path_; }
  std::uint32_t version() const noexcept { return version_; }

  // CUPTI's own, under its names; each returns a CUptiResult.
  int (*getVersion)(std::uint32_t*) = nullptr;
  int (*getResultString)(int, const char**) = nullptr;
  int (*getTimestamp)(std::uint64_t*) = nullptr;
  int (*getContextId)(CUcontext, std::uint32_t*) = nullptr;
  int (*getStreamId)(CUcontext, CUstream, std::uint8_t perThread, std::uint32_t*) = nullptr;
  int (*registerCallbacks)(RequestBuffer, CompleteBuffer) = nullptr;
  int (*registerTimestamp)(Timestamp) = nullptr;
  int (*enable)(cupti::Kind) = nullptr;
  int (*disable)(cupti::Kind) = nullptr;
  int (*nextRecord)(std::uint8_t* buffer, std::size_t validBytes, cupti::Record**) = nullptr;
  int (*droppedRecords)(CUcontext, std::uint32_t stream, std::size_t*) = nullptr;
  int (*flushAll)(std::uint32_t flag) = nullptr;
  int (*flushPeriod)(std::uint32_t milliseconds) = nullptr;
  int (*pushCorrelation)(std::uint32_t kind, std::uint64_t id) = nullptr;
  int (*popCorrelation)(std::uint32_t kind, std::uint64_t* last) = nullptr;

 private:
  explicit Cupti(const tensorrt::SharedLibrary& library);

  std::string path_;
  std::uint32_t version_ = 0;
};

}  // namespace tensorrt_node::profile
