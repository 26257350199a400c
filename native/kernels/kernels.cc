#include "kernels.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <mutex>
#include <stdexcept>

#include "cuda/driver.h"
#include "geometry.h"
#include "images.h"

namespace tensorrt_node::kernels {

namespace {

using cuda::check;
using cuda::driver;

// Of a multiprocessor's memory that is shared memory: room for the blocks of a product beside those of the kernel
// before it. The same for all kernels of a step, as only those that divide it alike run side by side.
constexpr int stepSharedPercent = 72;

struct Source {
  std::string_view image;
  std::string_view function;
  // The element types it was compiled for are part of its name.
  bool typed;
  // And so are the head sizes.
  bool sized;
  // And so are these.
  std::vector<std::string> (*shapes)() = nullptr;
  int sharedPercent = stepSharedPercent;
};

template <typename Sizes>
std::vector<std::string> numbers(const Sizes& sizes) {
  std::vector<std::string> all;
  for (const int size : sizes) all.push_back(std::to_string(size));
  return all;
}
std::vector<std::string> endings(const std::vector<std::string>& names, const std::vector<std::string>& more) {
  std::vector<std::string> all;
  for (const std::string& name : names)
    for (const std::string& ending : more) all.push_back(name + "_" + ending);
  return all;
}
// Rows of the weight, and columns of tiles of x.
std::vector<std::string> linearTiles() {
  std::vector<std::string> all;
  for (const int outerRows : linearOuterRows)
    for (const int columns : linearColumns) all.push_back(std::to_string(outerRows) + "_" + std::to_string(columns));
  return all;
}
// Rows of x, and of the weight.
std::vector<std::string> gemvSizes() {
  std::vector<std::string> all;
  for (const int rows : gemvRows)
    for (const int vectors : {1, 2}) all.push_back(std::to_string(rows) + "_" + std::to_string(vectors));
  return all;
}

// Codes and their offsets, and rows of x or tiles of them.
template <typename Columns>
std::vector<std::string> quantizedSizes(const Columns& columns) {
  return endings({"uint4_middle", "uint4_codes", "uint4_floating", "uint8_middle", "uint8_codes", "uint8_floating",
                  "float8_middle"},
                 numbers(columns));
}
std::vector<std::string> quantizedFewSizes() {
  return quantizedSizes(quantizedFewKernels);
}
std::vector<std::string> quantizedManySizes() {
  return quantizedSizes(quantizedManyColumns);
}

constexpr std::array sources{
    Source{"embed", "embed", true, false},
    Source{"rms_norm", "rms_norm", true, false},
    Source{"gated_activation", "gated_activation", true, false},
    Source{"linear", "linear", true, false, &linearTiles, 100},
    Source{"linear", "linear_plain", true, false},
    Source{"gemv", "gemv", true, false, &gemvSizes},
    Source{"gemv", "gemv_norm", true, false, &gemvSizes},
    Source{"attention", "attention_append", true, false},
    Source{"attention", "attention_decode", true, true},
    Source{"attention", "attention_prefill", true, true, nullptr, 100},
    Source{"attention_fp8", "attention_append_fp8", true, false},
    Source{"attention_fp8", "attention_decode_fp8", true, true},
    Source{"attention_fp8", "attention_prefill_fp8", true, true, nullptr, 100},
    Source{"attention_int8", "attention_append_int8", true, false},
    Source{"attention_int8", "attention_decode_int8", true, true},
    Source{"attention_int8", "attention_prefill_int8", true, true, nullptr, 100},
    Source{"sample", "sample_scan", false, false},
    Source{"sample", "sample_choose", false, false},
    Source{"begin_step", "begin_step", false, false},
    Source{"convert", "convert", false, false},
    Source{"convert", "dequantize", false, false},
    Source{"matrix_product", "matrix_product", false, false},
    Source{"hessian", "reverse_hessian", false, false},
    Source{"hessian", "cholesky_diagonal", false, false},
    Source{"hessian", "cholesky_below", false, false},
    Source{"hessian", "unit_upper", false, false},
    Source{"gptq", "gptq", false, false},
    Source{"quantized_few", "quantized_few", true, false, &quantizedFewSizes},
    Source{"quantized_many", "quantized_many", true, false, &quantizedManySizes, 100},
    Source{"quantized_rows", "quantized_embed", true, false},
    Source{"quantized_rows", "unpack_quantized", true, false},
    Source{"quantized_rows", "pack_codes", false, false},
    Source{"quantized_rows", "pack_scales", false, false},
};

// What every kernel may use without asking, beside what it has of its own.
constexpr std::size_t sharedBytesOfAll = 40 << 10;

std::vector<std::string> namesOf(const Source& source) {
  std::vector<std::string> names{std::string(source.function)};
  if (source.typed) names = endings(names, {"float16", "bfloat16"});
  if (source.sized) names = endings(names, numbers(attentionHeadSizes));
  if (source.shapes != nullptr) names = endings(names, source.shapes());
  return names;
}

// What a simulated driver loads in place of machine code: it knows the kernels by their names.
constexpr std::string_view simulatedImage = "simulated";

const void* imageNamed(std::string_view name) {
  if (driver().simulatorHostAccess != nullptr) return simulatedImage.data();
  const auto images = embeddedImages();
  const auto found = std::ranges::find(images, name, &Image::name);
  if (found != images.end()) return found->data;
  throw cuda::CudaError(CUDA_ERROR_NO_BINARY_FOR_GPU, "cuModuleLoadData",
                        "this build of tensorrt-node holds no kernel '" + std::string(name) + "'",
                        "it was built where there was no nvcc: install a prebuilt version, or build it with the CUDA "
                        "toolkit (CUDA_HOME)");
}

int attribute(CUdevice device, CUdevice_attribute which) {
  int value = 0;
  check(driver().cuDeviceGetAttribute(&value, which, device), "cuDeviceGetAttribute");
  return value;
}

}  // namespace

std::shared_ptr<const Kernels> Kernels::of(const std::shared_ptr<const cuda::Context>& context) {
  static std::mutex mutex;
  static std::map<CUcontext, std::weak_ptr<const Kernels>> loaded;
  const std::lock_guard lock(mutex);
  std::erase_if(loaded, [](const auto& each) { return each.second.expired(); });
  auto& known = loaded[context->handle()];
  if (auto kernels = known.lock()) return kernels;
  auto kernels = std::make_shared<const Kernels>(Private{}, context);
  known = kernels;
  return kernels;
}

Kernels::Kernels(Private, std::shared_ptr<const cuda::Context> context) : context_(std::move(context)) {
  const cuda::Current current(*context_);
  CUdevice device = 0;
  check(driver().cuDeviceGet(&device, context_->ordinal()), "cuDeviceGet");
  multiprocessors_ = attribute(device, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
  sharedBytes_ = static_cast<std::size_t>(attribute(device, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN));
  int version = 0;
  check(driver().cuDriverGetVersion(&version), "cuDriverGetVersion");
  // From CUDA 12.3 on graphs can record it.
  const char* overlap = std::getenv("TENSORRT_NODE_KERNEL_OVERLAP");
  overlapping_ = attribute(device, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR) >= 9 && version >= 12030 &&
                 (overlap == nullptr || std::string_view(overlap) != "0");

  try {
    std::map<std::string_view, CUmodule> byImage;
    for (const Source& source : sources) {
      const auto [entry, isNew] = byImage.try_emplace(source.image);
      if (isNew) {
        modules_.reserve(modules_.size() + 1);
        check(driver().cuModuleLoadData(&entry->second, imageNamed(source.image)), "cuModuleLoadData", source.image);
        modules_.push_back(entry->second);
      }
      for (std::string& name : namesOf(source)) {
        CUfunction function = nullptr;
        check(driver().cuModuleGetFunction(&function, entry->second, name.c_str()), "cuModuleGetFunction", name);
        check(driver().cuFuncSetAttribute(function, CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT,
                                          source.sharedPercent),
              "cuFuncSetAttribute", name);
        functions_.emplace(std::move(name), function);
      }
    }
  } catch (...) {
    unload();
    throw;
  }
}

Kernels::~Kernels() {
  const cuda::Current current(*context_, std::nothrow);
  unload();
}

Arrivals::Arrivals(std::shared_ptr<const Kernels> kernels) : kernels_(std::move(kernels)) {
  const std::lock_guard lock(kernels_->leasesMutex_);
  std::vector<char>& leased = kernels_->leased_;
  const auto free = std::ranges::find(leased, 0);
  lease_ = static_cast<std::size_t>(free - leased.begin());
  if (free != leased.end()) {
    *free = 1;
    return;
  }
  if (leased.size() == arrivalLeases)
    throw std::runtime_error("the GPU has counters for " + std::to_string(arrivalLeases) +
                             " operators of execution contexts, and all are in use");
  leased.push_back(1);
}

Arrivals::~Arrivals() {
  const std::lock_guard lock(kernels_->leasesMutex_);
  kernels_->leased_[lease_] = 0;
}

std::int32_t Arrivals::first() const noexcept {
  return static_cast<std::int32_t>(lease_) * arrivalsOfLease;
}

void Kernels::unload() noexcept {
  // Fails after teardown of the driver, when there is nobody left to tell.
  for (const CUmodule module : modules_) driver().cuModuleUnload(module);
}

void Kernels::launchAny(CUstream stream, const std::string& name, Grid grid, unsigned threads, void* parameters,
                        std::size_t sharedBytes) const {
  const auto found = functions_.find(name);
  if (found == functions_.end()) cuda::fail(CUDA_ERROR_NOT_FOUND, "cuModuleGetFunction", name);
  const CUfunction function = found->second;
  if (sharedBytes > sharedBytesOfAll)
    check(driver().cuFuncSetAttribute(function, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
                                      static_cast<int>(sharedBytes)),
          "cuFuncSetAttribute", name);
  CUlaunchAttribute attribute{};
  attribute.id = CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION;
  attribute.value.programmaticStreamSerializationAllowed = 1;
  CUlaunchConfig config{};
  config.gridDimX = grid.x;
  config.gridDimY = grid.y;
  config.gridDimZ = grid.z;
  config.blockDimX = threads;
  config.blockDimY = 1;
  config.blockDimZ = 1;
  config.sharedMemBytes = static_cast<unsigned>(sharedBytes);
  config.hStream = stream;
  config.attrs = &attribute;
  config.numAttrs = overlapping_ ? 1 : 0;
  void* arguments[] = {parameters};
  check(driver().cuLaunchKernelEx(&config, function, arguments, nullptr), "cuLaunchKernelEx", name);
}

}  // namespace tensorrt_node::kernels
