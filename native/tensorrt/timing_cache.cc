#include "timing_cache.h"

#include <cstddef>
#include <span>
#include <vector>

#include "../files/error.h"
#include "../files/whole_file.h"
#include "error.h"
#include "factories.h"
#include "logger.h"

namespace tensorrt_node::tensorrt {
namespace {

void warn(const std::string& line) {
  Logger::instance().log(nvinfer1::ILogger::Severity::kWARNING, line.c_str());
}

}  // namespace

TimingCache::TimingCache(nvinfer1::IBuilderConfig& config, const std::optional<std::string>& path) {
  used_ = path && take(config, *path);
  if (used_) return;
  const LogCapture log;
  cache_.reset(config.createTimingCache(nullptr, 0));
  if (cache_ == nullptr || !config.setTimingCache(*cache_, false))
    throw TensorrtError("IBuilderConfig::createTimingCache", log.explain("TensorRT makes no timing cache"));
}

bool TimingCache::take(nvinfer1::IBuilderConfig& config, const std::string& path) {
  const std::optional<std::vector<std::byte>> bytes = files::readIfThere(path);
  if (!bytes) return false;
  if (bytes->empty()) {
    warn(path + ": the timing cache is empty and is passed over");
    return false;
  }
  cache_.reset(config.createTimingCache(bytes->data(), bytes->size()));
  if (cache_ == nullptr) {
    warn(path + ": the timing cache is damaged or of another TensorRT and is passed over");
    return false;
  }
  if (!config.setTimingCache(*cache_, false)) {
    warn(path + ": the timing cache is of another device or TensorRT and is passed over");
    return false;
  }
  return true;
}

void TimingCache::save(const std::string& path) const {
  const LogCapture log;
  const std::unique_ptr<nvinfer1::IHostMemory> bytes(cache_->serialize());
  if (bytes == nullptr)
    throw TensorrtError("ITimingCache::serialize", log.explain("TensorRT does not serialize the timing cache"));
  files::replace(path, {static_cast<const std::byte*>(bytes->data()), bytes->size()});
}

void mergeTimingCache(const Libraries& libraries, const std::string& into, const std::string& from) {
  const LogCapture log;
  // Caches outlive the configs they are attached to.
  std::optional<TimingCache> added;
  std::optional<TimingCache> all;
  const std::unique_ptr<nvinfer1::IBuilder> builder = createBuilder(libraries);
  const std::unique_ptr<nvinfer1::IBuilderConfig> intoConfig = createConfig(*builder);
  const std::unique_ptr<nvinfer1::IBuilderConfig> fromConfig = createConfig(*builder);
  added.emplace(*fromConfig, from);
  if (!added->used())
    throw TensorrtError("IBuilderConfig::setTimingCache",
                        log.explain(from + ": is missing, or is no timing cache of this device and TensorRT"));
  all.emplace(*intoConfig, into);
  if (!all->native().combine(added->native(), false))
    throw TensorrtError("ITimingCache::combine", log.explain(from + ": cannot be added to " + into));
  all->save(into);
}

}  // namespace tensorrt_node::tensorrt
