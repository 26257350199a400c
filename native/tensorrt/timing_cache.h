// What the builder measured of tactics, kept from build to build.
#pragma once

#include <NvInfer.h>

#include <memory>
#include <optional>
#include <string>

#include "libraries.h"

namespace tensorrt_node::tensorrt {

// The cache that a builder's config uses, which must outlive it. A file that is damaged, or of another device or
// TensorRT, is passed over with a warning: such a cache costs time, not correctness.
class TimingCache {
 public:
  // `path`: a file to start from, if it exists. Throws FileError and TensorrtError.
  TimingCache(nvinfer1::IBuilderConfig& config, const std::optional<std::string>& path);

  // The file was there and could be used.
  bool used() const noexcept { return used_; }
  nvinfer1::ITimingCache& native() const noexcept { return *cache_; }
  // Replaces the file at once as a whole. Throws FileError and TensorrtError.
  void save(const std::string& path) const;

 private:
  bool take(nvinfer1::IBuilderConfig& config, const std::string& path);

  std::unique_ptr<nvinfer1::ITimingCache> cache_;
  bool used_ = false;
};

// Adds the entries of `from` to the file `into`, made if missing. A context of the caches' device must be current.
// Throws
// FileError, and TensorrtError for a `from` that is missing, damaged or foreign.
void mergeTimingCache(const Libraries& libraries, const std::string& into, const std::string& from);

}  // namespace tensorrt_node::tensorrt
