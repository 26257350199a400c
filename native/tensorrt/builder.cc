#include "builder.h"

#include <NvInfer.h>
#include <NvOnnxParser.h>

#include <exception>
#include <filesystem>
#include <optional>
#include <string_view>
#include <utility>

#include "../cuda/context.h"
#include "../files/whole_file.h"
#include "builder_config.h"
#include "calibrator.h"
#include "error.h"
#include "factories.h"
#include "layer_overrides.h"
#include "logger.h"
#include "parser_errors.h"
#include "plugins.h"
#include "profiles.h"
#include "timing_cache.h"

namespace tensorrt_node::tensorrt {
namespace {

void parse(nvonnxparser::IParser& parser, const BuildRequest& request) {
  const std::string& model = request.model;
  const LogCapture log;
  if (!request.rewrittenModel) {
    constexpr auto verbosity = static_cast<int>(nvinfer1::ILogger::Severity::kWARNING);
    if (!parser.parseFromFile(model.c_str(), verbosity))
      throw parserError(parser, "IParser::parseFromFile", model, log);
    return;
  }
  const std::optional<std::vector<std::byte>> bytes = files::readIfThere(*request.rewrittenModel);
  if (!bytes) throw TensorrtError("IParser::parse", *request.rewrittenModel + ": there is no such file");
  if (!parser.parse(bytes->data(), bytes->size(), model.c_str()))
    throw parserError(parser, "IParser::parse", model, log);
}

// Streams and traces tell the engine's name; TensorRT calls a graph without one "Unnamed Network 0".
void nameAfterFile(nvinfer1::INetworkDefinition& network, const std::string& model) {
  const std::string_view name = network.getName();
  if (name.empty() || name.starts_with("Unnamed Network")) network.setName(std::filesystem::path(model).stem().c_str());
}

// A plan for other versions carries the plugins it needs.
void carryPlugins(nvinfer1::IBuilderConfig& config, const nvonnxparser::IParser& parser) {
  if (!config.getFlag(nvinfer1::BuilderFlag::kVERSION_COMPATIBLE)) return;
  std::int64_t count = 0;
  const char* const* const paths = parser.getUsedVCPluginLibraries(count);
  if (count > 0) config.setPluginsToSerialize(paths, static_cast<std::int32_t>(count));
}

std::vector<CalibrationInput> calibrationInputs(const nvinfer1::INetworkDefinition& network,
                                                const std::vector<nvinfer1::Dims>& shapes) {
  std::vector<CalibrationInput> inputs;
  for (std::int32_t i = 0; i < network.getNbInputs(); ++i) {
    const nvinfer1::ITensor& input = *network.getInput(i);
    inputs.push_back({input.getName(), input.getType(), toShape(shapes[static_cast<std::size_t>(i)])});
  }
  return inputs;
}

const char* hintFor(std::string_view log) noexcept {
  const auto says = [&](std::string_view words) { return log.find(words) != std::string_view::npos; };
  if (says("ut of memory") || says("OutOfMemory") || says("insufficient memory"))
    return "the GPU's memory ran out: free some of it, or build for smaller shapes";
  if (says("ould not find any implementation"))
    return "no kernel fits: give the builder more workspace, loosen precision constraints, or let it use more tactic "
           "sources";
  if (says("libnvinfer_lean"))
    return "version-compatible plans carry TensorRT's lean runtime: install libnvinfer_lean, or leave it out with "
           "excludeLeanRuntime";
  return "the builder's log says more with logLevel 'verbose'";
}

// One build: what its parts need of each other, in the order in which they must go.
class Build {
 public:
  Build(const Libraries& libraries, const BuildRequest& request, BuildListener& listener, BuildControl& control)
      : request_(request),
        control_(control),
        version_(libraries.version()),
        monitor_(listener, control),
        builder_(createBuilder(libraries)),
        network_(createNetwork(*builder_, request.stronglyTyped)),
        parser_(createParser(libraries, *network_)),
        config_(createConfig(*builder_)) {}

  BuildResult run(const std::shared_ptr<const cuda::Context>& context, BuildListener& listener) {
    BuildResult result;
    configure(*config_, request_, version_);
    parse(*parser_, request_);
    nameAfterFile(*network_, request_.model);
    control_.throwIfStopped();
    carryPlugins(*config_, *parser_);
    addProfiles(*builder_, *config_, *network_, request_.profiles, version_);
    result.unmatched = applyOverrides(*network_, request_.layers);
    if (request_.calibration) calibrateFrom(context, listener);
    timingCache_.emplace(*config_, request_.timingCache);
    result.timingCacheUsed = timingCache_->used();
    config_->setProgressMonitor(&monitor_);
    result.layers = network_->getNbLayers();
    const std::unique_ptr<nvinfer1::IHostMemory> plan = serialize();
    files::write(request_.plan, {static_cast<const std::byte*>(plan->data()), plan->size()});
    result.planBytes = plan->size();
    return result;
  }

 private:
  void calibrateFrom(const std::shared_ptr<const cuda::Context>& context, BuildListener& listener) {
    const CalibrationRequest& wanted = *request_.calibration;
    const auto shapes = calibrationShapes(*network_, request_.profiles, wanted.batchSize);
    feed_.emplace(wanted, calibrationInputs(*network_, shapes), context, listener, control_);
    calibrator_ = makeCalibrator(wanted.minMax, *feed_);
    setCalibrationProfile(*builder_, *config_, *network_, request_.profiles, shapes, version_);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
    config_->setInt8Calibrator(calibrator_.get());
#pragma GCC diagnostic pop
  }

  std::unique_ptr<nvinfer1::IHostMemory> serialize() {
    const LogCapture log;
    std::unique_ptr<nvinfer1::IHostMemory> plan(builder_->buildSerializedNetwork(*network_, *config_));
    saveTimings(plan == nullptr || control_.stopped());
    control_.throwIfStopped();
    if (plan == nullptr) {
      const std::string message = log.explain(request_.model + ": TensorRT builds no engine of it");
      throw TensorrtError("IBuilder::buildSerializedNetwork", message, hintFor(message));
    }
    return plan;
  }

  // What was measured is worth keeping whatever became of the build.
  void saveTimings(bool failed) {
    if (!request_.timingCacheOut) return;
    try {
      timingCache_->save(*request_.timingCacheOut);
    } catch (const std::exception& error) {
      // The build's own error counts.
      if (!failed) throw;
      nvinfer1::ILogger& logger = Logger::instance();
      logger.log(nvinfer1::ILogger::Severity::kWARNING, error.what());
    }
  }

  const BuildRequest& request_;
  BuildControl& control_;
  const Version version_;
  // Used by the builder until it is gone.
  ProgressMonitor monitor_;
  std::optional<CalibrationFeed> feed_;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
  std::unique_ptr<nvinfer1::IInt8Calibrator> calibrator_;
#pragma GCC diagnostic pop
  std::unique_ptr<nvinfer1::IBuilder> builder_;
  std::unique_ptr<nvinfer1::INetworkDefinition> network_;
  std::unique_ptr<nvonnxparser::IParser> parser_;
  std::optional<TimingCache> timingCache_;
  std::unique_ptr<nvinfer1::IBuilderConfig> config_;
};

}  // namespace

BuildResult build(const Libraries& libraries, const std::shared_ptr<const cuda::Context>& context,
                  const BuildRequest& request, BuildListener& listener, BuildControl& control) {
  const cuda::Current current(*context);
  control.throwIfStopped();
  registerPlugins(libraries);
  return Build(libraries, request, listener, control).run(context, listener);
}

}  // namespace tensorrt_node::tensorrt
