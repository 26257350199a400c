// What a failed driver call becomes: an error that names the call, the code and, where known, the way out.
#pragma once

#include <cuda.h>

#include <stdexcept>
#include <string>
#include <string_view>

namespace tensorrt_node::cuda {

class CudaError : public std::runtime_error {
 public:
  // `detail` says what was being done, for people; may be empty. `hint` replaces the general one for the code.
  CudaError(CUresult result, std::string_view call, std::string_view detail, std::string_view hint = {});

  CUresult result() const noexcept { return result_; }
  // The driver function that failed: "cuMemAlloc".
  const std::string& call() const noexcept { return call_; }
  // "CUDA_ERROR_OUT_OF_MEMORY".
  const std::string& codeName() const noexcept { return codeName_; }
  // The driver's sentence for the code, and what was being done.
  const std::string& description() const noexcept { return description_; }
  // What the user can do; empty when that is not known.
  const std::string& hint() const noexcept { return hint_; }

 private:
  CudaError(CUresult result, std::string_view call, std::string codeName, std::string description, std::string hint);

  CUresult result_;
  std::string call_;
  std::string codeName_;
  std::string description_;
  std::string hint_;
};

// Throws CudaError unless `result` is CUDA_SUCCESS.
[[noreturn]] void fail(CUresult result, std::string_view call, std::string_view detail);
inline void check(CUresult result, std::string_view call, std::string_view detail = {}) {
  if (result != CUDA_SUCCESS) [[unlikely]]
    fail(result, call, detail);
}

// "CUDA_ERROR_NO_DEVICE"; before a driver is loaded "CUDA error 46" for codes that are not common.
std::string codeName(CUresult result);
// What a user can do about a code; empty when nothing general can be said.
std::string_view hintFor(CUresult result) noexcept;

}  // namespace tensorrt_node::cuda
