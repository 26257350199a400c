#include "calibration.h"

#include <cuda.h>

#include <array>
#include <cstdio>
#include <memory>

#include "archive.h"
#include "kernel.h"
#include "log.h"

namespace simulated_tensorrt {

namespace {

struct Input {
  std::string name;
  std::size_t bytes;
  std::uint64_t digest;
};

std::vector<Input> inputsOf(const Graph& graph, const Config& config) {
  const Profile* profile = config.calibrationProfile();
  if (profile == nullptr && !config.profiles().empty()) profile = config.profiles()[0];
  std::vector<Input> inputs;
  for (const Value& each : graph.inputs) {
    Shape dims = each.dims;
    if (profile != nullptr) {
      const auto found = profile->ranges().shapes.find(each.name);
      if (found != profile->ranges().shapes.end()) dims = found->second[1];
    }
    if (!isKnown(dims))
      throw std::runtime_error("Calibration failure occurred: the shape of input " + each.name + " is not known");
    inputs.push_back({each.name, elementsOf(dims) * sizeOf(each.type), digest(each.name)});
  }
  return inputs;
}

// TensorRT reads the batch on a stream of its own.
class Stream {
 public:
  Stream() {
    if (cuStreamCreate(&stream_, CU_STREAM_NON_BLOCKING) != CUDA_SUCCESS)
      throw std::runtime_error("Cuda failure while calibrating");
  }
  ~Stream() { cuStreamDestroy(stream_); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  void read(const std::vector<void*>& bindings, std::vector<Input>& inputs) {
    std::vector<SimulatorRange> ranges;
    for (std::size_t i = 0; i < inputs.size(); ++i) ranges.push_back({bindings[i], inputs[i].bytes, 0});
    // Its own copy: a wait that fails leaves the work behind.
    const auto read = std::make_shared<std::vector<Input>>(inputs);
    const int queued = launch(reinterpret_cast<cudaStream_t>(stream_), "calibration", ranges, 0, [read, bindings] {
      for (std::size_t i = 0; i < read->size(); ++i) {
        Input& input = (*read)[i];
        input.digest = digest({static_cast<const char*>(bindings[i]), input.bytes}, input.digest);
      }
    });
    if (queued != CUDA_SUCCESS || cuStreamSynchronize(stream_) != CUDA_SUCCESS)
      throw std::runtime_error("Cuda failure while calibrating: a batch cannot be read");
    inputs = *read;
  }

 private:
  CUstream stream_ = nullptr;
};

std::string header(nvinfer1::CalibrationAlgoType algorithm) {
  const char* name =
      algorithm == nvinfer1::CalibrationAlgoType::kMINMAX_CALIBRATION ? "MinMaxCalibration" : "EntropyCalibration2";
  return "TRT-" + std::to_string(settings().version.number()) + "-" + name + "\n";
}

// Of any version: the scales are the same.
bool fits(const std::string& cache, const std::string& wanted) {
  const std::size_t algorithm = wanted.rfind('-');
  return cache.starts_with("TRT-") && cache.find(wanted.substr(algorithm)) != std::string::npos;
}

std::string tableOf(const std::string& head, const std::vector<Input>& inputs) {
  std::string table = head;
  for (const Input& each : inputs) {
    std::array<char, 16> digits{};
    std::snprintf(digits.data(), digits.size(), "%08x", static_cast<unsigned>(each.digest));
    table += each.name + ": " + digits.data() + "\n";
  }
  return table;
}

}  // namespace

std::string calibrate(const Graph& graph, const Config& config, nvinfer1::ILogger& logger) {
  nvinfer1::IInt8Calibrator& calibrator = *config.getInt8Calibrator();
  const std::string head = header(calibrator.getAlgorithm());
  std::size_t length = 0;
  if (const void* cache = calibrator.readCalibrationCache(length); cache != nullptr && length > 0) {
    std::string text(static_cast<const char*>(cache), length);
    if (fits(text, head)) return text;
    log(logger, Severity::kWARNING, "The calibration cache is of another algorithm or damaged; calibrating anew.");
  }

  std::vector<Input> inputs = inputsOf(graph, config);
  std::vector<const char*> names;
  for (const Input& each : inputs) names.push_back(each.name.c_str());
  std::vector<void*> bindings(inputs.size());
  Stream stream;
  std::size_t batches = 0;
  for (; calibrator.getBatch(bindings.data(), names.data(), static_cast<int32_t>(names.size())); ++batches)
    stream.read(bindings, inputs);
  if (batches == 0)
    throw std::runtime_error(
        "Calibration failure occurred with no scaling factors detected. This could be due to no "
        "int8 calibrator or insufficient custom scales for network layers.");
  log(logger, Severity::kINFO, "  Calibrated batches: " + std::to_string(batches));
  std::string table = tableOf(head, inputs);
  calibrator.writeCalibrationCache(table.data(), table.size());
  return table;
}

}  // namespace simulated_tensorrt
