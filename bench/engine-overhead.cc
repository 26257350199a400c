// The bare loop that bench/engine-overhead.mjs holds the library against: the same plan, pinned inputs and outputs, a
// CUDA graph of copies and inference, and a thread that spins until the stream is through. No Node, no checks beyond
// the calls' own status.
//
//   engine-overhead DRIVER NVINFER PLAN CONTEXTS NAME=1x3x48x320 …
//
// Reads commands from standard input, a line each, and answers each with a line of JSON:
//   latency RUNS WARMUP query|synchronize   percentiles of one context's runs, in microseconds
//   throughput RUNS WARMUP                  runs a second of all contexts, each on a thread of its own
#include <NvInfer.h>
#include <cuda.h>
#include <dlfcn.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#define STRING_OF(name) #name
// cuda.h maps plain names to versioned ones.
#define SYMBOL_OF(name) STRING_OF(name)
#define DRIVER_FUNCTIONS(X)                                                                            \
  X(cuInit)                                                                                            \
  X(cuDeviceGet) X(cuDevicePrimaryCtxRetain) X(cuCtxPushCurrent) X(cuStreamCreate) X(cuStreamQuery)    \
      X(cuStreamSynchronize) X(cuMemAlloc) X(cuMemHostAlloc) X(cuMemcpyHtoDAsync) X(cuMemcpyDtoHAsync) \
          X(cuStreamBeginCapture) X(cuStreamEndCapture) X(cuGraphInstantiateWithFlags) X(cuGraphLaunch)

namespace {

using Clock = std::chrono::steady_clock;

[[noreturn]] void fail(const std::string& problem) {
  std::fprintf(stderr, "engine-overhead: %s\n", problem.c_str());
  std::exit(1);
}

struct Driver {
#define MEMBER(name) decltype(&::name) name = nullptr;
  DRIVER_FUNCTIONS(MEMBER)
#undef MEMBER
} driver;

void check(CUresult result, const char* call) {
  if (result != CUDA_SUCCESS) fail(std::string(call) + ": error " + std::to_string(static_cast<int>(result)));
}
#define CALL(name, ...) check(driver.name(__VA_ARGS__), #name)

void* open(const char* path) {
  void* library = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
  if (library == nullptr) fail(dlerror());
  return library;
}

void* find(void* library, const char* symbol) {
  void* found = dlsym(library, symbol);
  if (found == nullptr) fail(std::string("no ") + symbol);
  return found;
}

struct Logger final : nvinfer1::ILogger {
  void log(Severity severity, const char* message) noexcept override {
    if (severity <= Severity::kERROR) std::fprintf(stderr, "%s\n", message);
  }
} logger;

std::size_t bitsOf(nvinfer1::DataType type) {
  switch (type) {
    case nvinfer1::DataType::kINT64:
      return 64;
    case nvinfer1::DataType::kFLOAT:
    case nvinfer1::DataType::kINT32:
      return 32;
    case nvinfer1::DataType::kHALF:
    case nvinfer1::DataType::kBF16:
      return 16;
    default:
      return 8;
  }
}

using Shapes = std::map<std::string, nvinfer1::Dims>;

Shapes shapesOf(char** first, char** last) {
  Shapes shapes;
  for (; first != last; ++first) {
    const std::string text = *first;
    const auto equals = text.find('=');
    nvinfer1::Dims dims{};
    std::stringstream list(text.substr(equals + 1));
    for (std::string each; std::getline(list, each, 'x');) dims.d[dims.nbDims++] = std::stoll(each);
    shapes[text.substr(0, equals)] = dims;
  }
  return shapes;
}

// An execution context with a stream, pinned memory and a graph of its own.
class Runner {
 public:
  Runner(nvinfer1::ICudaEngine& engine, const Shapes& shapes) : context_(engine.createExecutionContext()) {
    if (!context_) fail("no execution context");
    CALL(cuStreamCreate, &stream_, CU_STREAM_NON_BLOCKING);
    for (const auto& [name, dims] : shapes)
      if (!context_->setInputShape(name.c_str(), dims)) fail("shape of " + name);
    for (int index = 0; index < engine.getNbIOTensors(); ++index) {
      const char* name = engine.getIOTensorName(index);
      const nvinfer1::Dims dims = context_->getTensorShape(name);
      std::size_t count = 1;
      for (int axis = 0; axis < dims.nbDims; ++axis) count *= static_cast<std::size_t>(dims.d[axis]);
      Tensor tensor{};
      tensor.input = engine.getTensorIOMode(name) == nvinfer1::TensorIOMode::kINPUT;
      tensor.bytes = count * bitsOf(engine.getTensorDataType(name)) / 8;
      CALL(cuMemAlloc, &tensor.device, tensor.bytes);
      CALL(cuMemHostAlloc, &tensor.host, tensor.bytes, CU_MEMHOSTALLOC_PORTABLE);
      std::fill_n(static_cast<char*>(tensor.host), tensor.bytes, char{0});
      if (!context_->setTensorAddress(name, reinterpret_cast<void*>(tensor.device)))
        fail(std::string("address of ") + name);
      tensors_.push_back(tensor);
    }
    // Once outside a capture: TensorRT sets up what it does lazily.
    enqueue();
    CALL(cuStreamSynchronize, stream_);
    CALL(cuStreamBeginCapture, stream_, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL);
    enqueue();
    CUgraph graph = nullptr;
    CALL(cuStreamEndCapture, stream_, &graph);
    CALL(cuGraphInstantiateWithFlags, &graph_, graph, 0);
  }

  template <bool synchronize>
  void run() {
    CALL(cuGraphLaunch, graph_, stream_);
    if constexpr (synchronize) {
      CALL(cuStreamSynchronize, stream_);
    } else {
      CUresult result;
      while ((result = driver.cuStreamQuery(stream_)) == CUDA_ERROR_NOT_READY) {
      }
      check(result, "cuStreamQuery");
    }
  }

 private:
  struct Tensor {
    bool input;
    std::size_t bytes;
    CUdeviceptr device;
    void* host;
  };

  void enqueue() {
    for (const Tensor& tensor : tensors_)
      if (tensor.input) CALL(cuMemcpyHtoDAsync, tensor.device, tensor.host, tensor.bytes, stream_);
    if (!context_->enqueueV3(reinterpret_cast<cudaStream_t>(stream_))) fail("enqueueV3");
    for (const Tensor& tensor : tensors_)
      if (!tensor.input) CALL(cuMemcpyDtoHAsync, tensor.host, tensor.device, tensor.bytes, stream_);
  }

  std::unique_ptr<nvinfer1::IExecutionContext> context_;
  CUstream stream_ = nullptr;
  CUgraphExec graph_ = nullptr;
  std::vector<Tensor> tensors_;
};

template <bool synchronize>
void latency(Runner& runner, int runs, int warmup) {
  std::vector<double> microseconds;
  microseconds.reserve(static_cast<std::size_t>(runs));
  for (int run = -warmup; run < runs; ++run) {
    const auto start = Clock::now();
    runner.run<synchronize>();
    const auto end = Clock::now();
    if (run >= 0) microseconds.push_back(std::chrono::duration<double, std::micro>(end - start).count());
  }
  std::sort(microseconds.begin(), microseconds.end());
  const auto percentile = [&](double p) {
    return microseconds[static_cast<std::size_t>(p * static_cast<double>(microseconds.size() - 1))];
  };
  std::printf("{\"p50\": %.3f, \"p90\": %.3f, \"p99\": %.3f, \"min\": %.3f, \"max\": %.3f}\n", percentile(0.5),
              percentile(0.9), percentile(0.99), microseconds.front(), microseconds.back());
}

void throughput(std::vector<std::unique_ptr<Runner>>& runners, CUcontext cuda, int runs, int warmup) {
  std::atomic<std::size_t> ready{0};
  std::atomic<bool> go{false};
  std::vector<std::thread> threads;
  for (auto& runner : runners) {
    threads.emplace_back([&, each = runner.get()] {
      CALL(cuCtxPushCurrent, cuda);
      for (int run = 0; run < warmup; ++run) each->run<false>();
      ++ready;
      while (!go) {
      }
      for (int run = 0; run < runs; ++run) each->run<false>();
    });
  }
  while (ready < runners.size()) std::this_thread::yield();
  const auto start = Clock::now();
  go = true;
  for (auto& thread : threads) thread.join();
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  std::printf("{\"runsPerSecond\": %.1f}\n", static_cast<double>(runs) * static_cast<double>(runners.size()) / seconds);
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 6) fail("usage: engine-overhead DRIVER NVINFER PLAN CONTEXTS NAME=1x3x48x320 …");
  void* library = open(arguments[1]);
#define LOAD(name) driver.name = reinterpret_cast<decltype(driver.name)>(find(library, SYMBOL_OF(name)));
  DRIVER_FUNCTIONS(LOAD)
#undef LOAD
  CALL(cuInit, 0);
  CUdevice device = 0;
  CALL(cuDeviceGet, &device, 0);
  CUcontext cuda = nullptr;
  CALL(cuDevicePrimaryCtxRetain, &cuda, device);
  CALL(cuCtxPushCurrent, cuda);

  void* infer = open(arguments[2]);
  const auto version = reinterpret_cast<int32_t (*)()>(find(infer, "getInferLibVersion"))();
  const auto create = reinterpret_cast<void* (*)(void*, int32_t)>(find(infer, "createInferRuntime_INTERNAL"));
  const std::unique_ptr<nvinfer1::IRuntime> runtime(static_cast<nvinfer1::IRuntime*>(create(&logger, version)));
  if (!runtime) fail("no runtime");
  std::ifstream file(arguments[3], std::ios::binary);
  const std::vector<char> plan{std::istreambuf_iterator<char>(file), {}};
  const std::unique_ptr<nvinfer1::ICudaEngine> engine(runtime->deserializeCudaEngine(plan.data(), plan.size()));
  if (!engine) fail(std::string("cannot load ") + arguments[3]);
  const Shapes shapes = shapesOf(arguments + 5, arguments + count);
  std::vector<std::unique_ptr<Runner>> runners;
  for (int index = 0; index < std::atoi(arguments[4]); ++index)
    runners.push_back(std::make_unique<Runner>(*engine, shapes));
  std::printf("{\"ready\": true}\n");
  std::fflush(stdout);

  for (std::string line; std::getline(std::cin, line);) {
    std::stringstream words(line);
    std::string command;
    std::string wait;
    int runs = 0;
    int warmup = 0;
    words >> command >> runs >> warmup >> wait;
    if (runs < 1) fail("what is '" + line + "'?");
    if (command == "throughput")
      throughput(runners, cuda, runs, warmup);
    else if (wait == "synchronize")
      latency<true>(*runners.front(), runs, warmup);
    else
      latency<false>(*runners.front(), runs, warmup);
    std::fflush(stdout);
  }
  // Graphs and contexts before the engine they are of.
  runners.clear();
  return 0;
}
