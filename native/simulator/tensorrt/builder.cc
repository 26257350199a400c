#include "builder.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <map>
#include <thread>

#include "archive.h"
#include "calibration.h"
#include "config.h"
#include "device.h"
#include "host_memory.h"
#include "log.h"
#include "network.h"
#include "plan.h"
#include "plugin.h"
#include "plugin_timing.h"
#include "profile.h"

namespace simulated_tensorrt {

namespace {

using nvinfer1::BuilderFlag;

constexpr const char* method = "IBuilder::buildSerializedNetwork";

struct Cancelled {};

// A phase of the progress monitor, if there is one.
class Phase {
 public:
  Phase(nvinfer1::IProgressMonitor* monitor, const char* name, const char* parent, std::size_t steps)
      : monitor_(monitor), name_(name) {
    if (monitor_ != nullptr) monitor_->phaseStart(name, parent, static_cast<int32_t>(steps));
  }
  ~Phase() {
    if (monitor_ != nullptr) monitor_->phaseFinish(name_);
  }
  Phase(const Phase&) = delete;
  Phase& operator=(const Phase&) = delete;

  void step() {
    if (monitor_ != nullptr && !monitor_->stepComplete(name_, next_++)) throw Cancelled{};
  }

 private:
  nvinfer1::IProgressMonitor* const monitor_;
  const char* const name_;
  int32_t next_ = 0;
};

void goWrong(const std::string& how) {
  if (how.empty()) return;
  if (how == "out-of-memory") throw std::bad_alloc();
  if (how == "fail") throw std::runtime_error("Could not find any implementation for node simulated.");
  if (how == "exit") std::_Exit(3);
  if (how == "segfault") {
    // The signal itself: a real bad access would be a sanitizer's find.
    std::signal(SIGSEGV, SIG_DFL);
    std::raise(SIGSEGV);
  }
  if (how == "hang")
    for (;;) std::this_thread::sleep_for(std::chrono::hours(1));
  if (how == "print-and-abort") std::cerr << "LLVM ERROR: out of memory" << std::endl;
  std::abort();
}

// The profile's ranges for exactly those inputs that need one; throws std::runtime_error.
void checkProfile(const Graph& graph, const Ranges& ranges, std::size_t index) {
  const std::string where = " in profile " + std::to_string(index) + ".";
  const std::set<std::string> shapes = shapeInputs(graph);
  for (const Value& input : graph.inputs) {
    const auto shape = ranges.shapes.find(input.name);
    if (shape == ranges.shapes.end()) {
      if (!isKnown(input.dims))
        throw std::runtime_error("Dynamic input " + input.name + " is missing dimensions" + where);
    } else {
      std::string problem;
      if (!isValid(shape->second, input.name, problem)) throw std::runtime_error(problem + where);
      for (const Shape& each : shape->second)
        for (std::size_t i = 0; i < std::max(each.size(), input.dims.size()); ++i)
          if (each.size() != input.dims.size() || (input.dims[i] >= 0 && input.dims[i] != each[i]))
            throw std::runtime_error("Static dimension mismatch of input " + input.name + ": " + textOf(each) +
                                     " is set, " + textOf(input.dims) + " is declared," + where);
    }
    if (shapes.contains(input.name) && !ranges.values.contains(input.name))
      throw std::runtime_error("Shape tensor input " + input.name + " is missing values" + where);
  }
}

std::vector<Ranges> profilesOf(const Graph& graph, const Config& config) {
  std::vector<Ranges> profiles;
  for (const Profile* each : config.profiles()) profiles.push_back(each->ranges());
  const bool isStatic = shapeInputs(graph).empty() && std::all_of(graph.inputs.begin(), graph.inputs.end(),
                                                                  [](const Value& each) { return isKnown(each.dims); });
  if (profiles.empty() && !isStatic)
    throw std::runtime_error("Network has dynamic or shape inputs, but no optimization profile has been defined.");
  if (profiles.empty()) profiles.emplace_back();
  for (std::size_t i = 0; i < profiles.size(); ++i) checkProfile(graph, profiles[i], i);
  return profiles;
}

// Dimensions of one name have one range in a profile.
void checkDimensionNames(const Network& network, const Ranges& ranges) {
  std::map<std::string, std::array<int64_t, 3>> named;
  for (int32_t i = 0; i < network.getNbInputs(); ++i) {
    const nvinfer1::ITensor& input = *network.getInput(i);
    const auto range = ranges.shapes.find(input.getName());
    if (range == ranges.shapes.end()) continue;
    for (std::size_t d = 0; d < range->second[0].size(); ++d) {
      const char* const name = input.getDimensionName(static_cast<int32_t>(d));
      if (name == nullptr) continue;
      const std::array<int64_t, 3> extent{range->second[0][d], range->second[1][d], range->second[2][d]};
      if (named.try_emplace(name, extent).first->second != extent)
        throw std::runtime_error(
            "Input dimensions with this name have different constant values or have contradictory IOptimizationProfile "
            "kMIN/kMAX constraints.");
    }
  }
}

// What the timing of a layer depends on.
std::uint64_t keyOf(const Node& node, const Config& config) {
  Writer key;
  key.put(node.op);
  for (const auto& each : node.inputs) key.put(each);
  for (const auto& each : node.outputs) key.put(each);
  key.put(config.getFlags());
  key.put(config.getBuilderOptimizationLevel());
  for (const Profile* profile : config.profiles())
    for (const auto& [name, range] : profile->ranges().shapes) key.put(name + textOf(range[1]));
  return digest(key.bytes());
}

void timeLayers(const Graph& graph, const Config& config, Phase& parent) {
  const bool cached = !config.getFlag(BuilderFlag::kDISABLE_TIMING_CACHE);
  Phase phase(config.getProgressMonitor(), "Timing graph nodes", "Building engine", graph.nodes.size());
  for (const Node& node : graph.nodes) {
    const std::uint64_t key = keyOf(node, config);
    TimingCache* cache = cached ? config.timingCache() : nullptr;
    if (cache == nullptr || !cache->has(key)) {
      std::this_thread::sleep_for(std::chrono::milliseconds(settings().layerMs));
      countTimedLayer();
      if (cache != nullptr) cache->add(key, 0.01F);
    }
    phase.step();
  }
  parent.step();
}

void work(const Config& config, Phase& parent) {
  const Settings now = settings();
  Phase phase(config.getProgressMonitor(), "Computing profile costs", "Building engine", now.buildSteps);
  for (std::uint64_t i = 0; i < now.buildSteps; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(now.buildStepMs));
    phase.step();
    if (i == 0) goWrong(now.build);
  }
  parent.step();
}

// Shapes of all values in one of a profile's three.
Infos infosOf(const Graph& graph, const Ranges& ranges, std::size_t select) {
  Infos inputs;
  for (const Value& each : graph.inputs) {
    const auto range = ranges.shapes.find(each.name);
    inputs.insert_or_assign(each.name,
                            Info{each.type, range == ranges.shapes.end() ? each.dims : range->second[select], {}});
  }
  return infer(graph, std::move(inputs), Unknown::largest);
}

void configurePlugins(Graph& graph, const std::vector<Ranges>& profiles) {
  Infos declared;
  for (const Value& each : graph.inputs) declared.insert_or_assign(each.name, Info{each.type, each.dims, {}});
  declared = infer(graph, std::move(declared));
  for (const Ranges& ranges : profiles) {
    const std::array<Infos, 3> infos{infosOf(graph, ranges, 0), infosOf(graph, ranges, 1), infosOf(graph, ranges, 2)};
    const auto describe = [&](const std::vector<std::string>& names) {
      std::vector<nvinfer1::DynamicPluginTensorDesc> tensors;
      for (const std::string& name : names) {
        const Info& info = declared.at(name);
        tensors.push_back({{dimsOf(info.dims), info.type, nvinfer1::TensorFormat::kLINEAR, 1},
                           dimsOf(infos[0].at(name).dims),
                           dimsOf(infos[2].at(name).dims),
                           dimsOf(infos[1].at(name).dims)});
      }
      return tensors;
    };
    for (Node& node : graph.nodes) {
      if (!node.plugin) continue;
      const PluginTensors tensors{describe(node.inputs), describe(node.outputs)};
      configurePlugin(*node.instance, tensors, *node.plugin);
      timePlugin(*node.instance, tensors, *node.plugin);
    }
  }
  for (Node& node : graph.nodes)
    if (node.plugin) serializePlugin(*node.instance, *node.plugin);
}

Plan planOf(Graph graph, const Network& network, const Config& config) {
  Plan plan;
  plan.version = settings().version;
  plan.capability = computeCapability();
  plan.compatibility = config.getHardwareCompatibilityLevel();
  plan.flags = config.getFlags();
  plan.verbosity = config.getProfilingVerbosity();
  plan.tacticSources = config.getTacticSources();
  plan.optimizationLevel = config.getBuilderOptimizationLevel();
  plan.workspace = config.getMemoryPoolLimit(nvinfer1::MemoryPoolType::kWORKSPACE);
  plan.auxStreams = config.getMaxAuxStreams();
  plan.stronglyTyped = network.getFlag(nvinfer1::NetworkDefinitionCreationFlag::kSTRONGLY_TYPED);
  plan.name = network.getName();
  plan.profiles = profilesOf(graph, config);
  for (const Ranges& each : plan.profiles) checkDimensionNames(network, each);
  configurePlugins(graph, plan.profiles);
  plan.graph = std::move(graph);
  return plan;
}

void checkFlags(const Network& network, const Config& config) {
  if (!network.getFlag(nvinfer1::NetworkDefinitionCreationFlag::kSTRONGLY_TYPED)) return;
  for (const BuilderFlag each : {BuilderFlag::kFP16, BuilderFlag::kBF16, BuilderFlag::kINT8, BuilderFlag::kFP8})
    if (config.getFlag(each)) throw std::runtime_error("Precision flags are not allowed in a strongly typed network.");
}

Plan build(const Network& network, const Config& config, nvinfer1::ILogger& logger) {
  Graph graph = network.graph();
  if (graph.outputs.empty()) throw std::runtime_error("Network must have at least one output");
  if (!hasContext()) throw std::runtime_error("Cuda failure 35: no CUDA context is current");
  checkFlags(network, config);
  Plan plan = planOf(std::move(graph), network, config);

  const bool calibrates = config.getFlag(BuilderFlag::kINT8) && config.getInt8Calibrator() != nullptr;
  Phase phase(config.getProgressMonitor(), "Building engine", nullptr, calibrates ? 3 : 2);
  if (calibrates) {
    plan.calibration = calibrate(plan.graph, config, logger);
    phase.step();
  }
  work(config, phase);
  timeLayers(plan.graph, config, phase);
  if (plan.has(BuilderFlag::kSTRIP_PLAN))
    for (auto& [name, weights] : plan.graph.weights)
      if (isFloat(weights.type)) weights.data.clear();
  return plan;
}

}  // namespace

nvinfer1::IBuilderConfig* Builder::createBuilderConfig() noexcept {
  return std::make_unique<Config>(logger_).release();
}

nvinfer1::INetworkDefinition* Builder::createNetworkV2(nvinfer1::NetworkDefinitionCreationFlags flags) noexcept {
  return std::make_unique<Network>(*this, flags).release();
}

nvinfer1::IOptimizationProfile* Builder::createOptimizationProfile() noexcept {
  profiles_.push_back(std::make_unique<Profile>());
  return profiles_.back().get();
}

nvinfer1::IHostMemory* Builder::buildSerializedNetwork(nvinfer1::INetworkDefinition& network,
                                                       nvinfer1::IBuilderConfig& config) noexcept {
  try {
    const Plan plan = build(static_cast<const Network&>(network), static_cast<const Config&>(config), logger_);
    log(logger_, Severity::kINFO, "Engine generation completed.");
    return std::make_unique<HostMemory>(write(plan)).release();
  } catch (const Cancelled&) {
    log(logger_, Severity::kWARNING, "Engine generation was cancelled by the progress monitor.");
  } catch (const std::bad_alloc&) {
    error(logger_, method, 2, "OutOfMemory", "Requested size was 1073741824 bytes.");
  } catch (const std::exception& problem) {
    error(logger_, method, 4, "API Usage Error", problem.what());
  }
  return nullptr;
}

}  // namespace simulated_tensorrt
