#include "profiles.h"

#include <array>
#include <cstddef>
#include <limits>
#include <string>
#include <utility>

#include "error.h"
#include "logger.h"

namespace tensorrt_node::tensorrt {
namespace {

using nvinfer1::OptProfileSelector;

constexpr std::array kSelectors{OptProfileSelector::kMIN, OptProfileSelector::kOPT, OptProfileSelector::kMAX};
constexpr std::array kWords{"min", "opt", "max"};
constexpr const char* kHint = "profiles give min, opt and max of every input that has a dynamic shape";

const std::vector<std::int64_t>& part(const Range& range, std::size_t selector) {
  return selector == 0 ? range.min : selector == 1 ? range.opt : range.max;
}

bool isDynamic(const nvinfer1::Dims& dims) {
  for (std::int32_t i = 0; i < dims.nbDims; ++i)
    if (dims.d[i] < 0) return true;
  return false;
}

// An input that a profile has to name: its shape, or the values in it, are known only at run time.
bool isOpen(const nvinfer1::ITensor& input) {
  return isDynamic(input.getDimensions()) || input.isShapeTensor();
}

std::string shapeText(const nvinfer1::Dims& dims) {
  return tensorrt::shapeText(toShape(dims));
}

std::string inputNames(const nvinfer1::INetworkDefinition& network) {
  std::string names;
  for (std::int32_t i = 0; i < network.getNbInputs(); ++i) {
    const nvinfer1::ITensor& input = *network.getInput(i);
    if (i > 0) names += ", ";
    names += std::string("'") + input.getName() + "' " + shapeText(input.getDimensions());
  }
  return names;
}

// One input in one profile; `place` says which of them in errors.
class ProfileEntry {
 public:
  ProfileEntry(nvinfer1::IOptimizationProfile& profile, const nvinfer1::ITensor& input, const RequestedRange& requested,
               const std::string& profileName)
      : profile_(profile),
        input_(input),
        requested_(requested),
        place_(profileName + ": input '" + input.getName() + "' " + shapeText(input.getDimensions())) {}

  void set(const Version& version) {
    if (input_.isShapeTensor() != requested_.values)
      refuse(requested_.values ? ": its content decides no shape, so the profile must give its shape, not values"
                               : ": its content decides shapes, so the profile must give its values");
    for (std::size_t i = 0; i < kSelectors.size(); ++i) {
      if (requested_.values)
        setValues(i, version);
      else
        setDims(i);
    }
  }

 private:
  [[noreturn]] void refuse(const std::string& problem) const {
    throw TensorrtError("IOptimizationProfile::setDimensions", place_ + problem, kHint);
  }
  std::string text(std::size_t selector) const {
    return std::string(kWords[selector]) + " " + tensorrt::shapeText(part(requested_.range, selector));
  }

  void setDims(std::size_t selector) {
    const nvinfer1::Dims network = input_.getDimensions();
    const std::vector<std::int64_t>& wanted = part(requested_.range, selector);
    bool fits = std::cmp_equal(wanted.size(), network.nbDims);
    for (std::size_t i = 0; fits && i < wanted.size(); ++i) fits = network.d[i] < 0 || network.d[i] == wanted[i];
    if (!fits) refuse(" does not take " + text(selector));
    if (selector > 0) checkOrder(selector);
    const LogCapture log;
    if (!profile_.setDimensions(input_.getName(), kSelectors[selector], toDims(wanted)))
      refuse(log.explain(": TensorRT refuses " + text(selector)));
  }

  void setValues(std::size_t selector, const Version& version) {
    const std::vector<std::int64_t>& wanted = part(requested_.range, selector);
    if (selector > 0) checkOrder(selector);
    const auto count = static_cast<std::int32_t>(wanted.size());
    const LogCapture log;
    const bool taken = version.atLeast(10, 11)
                           ? profile_.setShapeValuesV2(input_.getName(), kSelectors[selector], wanted.data(), count)
                           : setNarrowValues(selector, wanted, version);
    if (!taken) refuse(log.explain(": TensorRT refuses the values " + text(selector)));
  }

  bool setNarrowValues(std::size_t selector, const std::vector<std::int64_t>& wanted, const Version& version) {
    std::vector<std::int32_t> narrow;
    for (const std::int64_t value : wanted) {
      if (!std::in_range<std::int32_t>(value))
        throw UnsupportedError(place_ + ": the value " + std::to_string(value) +
                               " needs TensorRT 10.11 or later; this is " + version.text());
      narrow.push_back(static_cast<std::int32_t>(value));
    }
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
    return profile_.setShapeValues(input_.getName(), kSelectors[selector], narrow.data(),
                                   static_cast<std::int32_t>(narrow.size()));
#pragma GCC diagnostic pop
  }

  void checkOrder(std::size_t selector) const {
    const std::vector<std::int64_t>& lower = part(requested_.range, selector - 1);
    const std::vector<std::int64_t>& upper = part(requested_.range, selector);
    bool ordered = lower.size() == upper.size();
    for (std::size_t i = 0; ordered && i < upper.size(); ++i) ordered = lower[i] <= upper[i];
    if (!ordered) refuse(": " + text(selector - 1) + " is not below " + text(selector));
  }

  nvinfer1::IOptimizationProfile& profile_;
  const nvinfer1::ITensor& input_;
  const RequestedRange& requested_;
  const std::string place_;
};

// Owned by the builder.
nvinfer1::IOptimizationProfile& makeProfile(nvinfer1::IBuilder& builder) {
  const LogCapture log;
  nvinfer1::IOptimizationProfile* const profile = builder.createOptimizationProfile();
  if (profile == nullptr)
    throw TensorrtError("IBuilder::createOptimizationProfile", log.explain("TensorRT makes no optimization profile"));
  return *profile;
}

void checkNames(const nvinfer1::INetworkDefinition& network, const RequestedProfile& requested,
                const std::string& profileName) {
  for (const auto& [name, range] : requested) {
    bool known = false;
    for (std::int32_t i = 0; !known && i < network.getNbInputs(); ++i) known = name == network.getInput(i)->getName();
    if (!known)
      throw TensorrtError("IOptimizationProfile::setDimensions",
                          profileName + ": the model has no input '" + name + "'; it has " + inputNames(network));
  }
}

}  // namespace

void addProfiles(nvinfer1::IBuilder& builder, nvinfer1::IBuilderConfig& config,
                 const nvinfer1::INetworkDefinition& network, const std::vector<RequestedProfile>& profiles,
                 const Version& version) {
  if (profiles.empty()) {
    for (std::int32_t i = 0; i < network.getNbInputs(); ++i) {
      const nvinfer1::ITensor& input = *network.getInput(i);
      if (isOpen(input))
        throw TensorrtError("IBuilderConfig::addOptimizationProfile",
                            std::string("input '") + input.getName() + "' " + shapeText(input.getDimensions()) +
                                " is dynamic, and there is no optimization profile",
                            kHint);
    }
  }
  for (std::size_t index = 0; index < profiles.size(); ++index) {
    const std::string name = "optimization profile " + std::to_string(index);
    const RequestedProfile& requested = profiles[index];
    checkNames(network, requested, name);
    nvinfer1::IOptimizationProfile& profile = makeProfile(builder);
    for (std::int32_t i = 0; i < network.getNbInputs(); ++i) {
      const nvinfer1::ITensor& input = *network.getInput(i);
      const auto found = requested.find(input.getName());
      if (found != requested.end()) {
        ProfileEntry(profile, input, found->second, name).set(version);
      } else if (isOpen(input)) {
        throw TensorrtError(
            "IOptimizationProfile::setDimensions",
            name + " lacks input '" + input.getName() + "' " + shapeText(input.getDimensions()) + ", which is dynamic",
            kHint);
      }
    }
    const LogCapture log;
    if (!profile.isValid() || config.addOptimizationProfile(&profile) < 0)
      throw TensorrtError("IBuilderConfig::addOptimizationProfile", log.explain(name + " is not valid"), kHint);
  }
}

std::vector<nvinfer1::Dims> calibrationShapes(const nvinfer1::INetworkDefinition& network,
                                              const std::vector<RequestedProfile>& profiles, std::int64_t batchSize) {
  std::vector<nvinfer1::Dims> shapes;
  for (std::int32_t i = 0; i < network.getNbInputs(); ++i) {
    const nvinfer1::ITensor& input = *network.getInput(i);
    nvinfer1::Dims shape = input.getDimensions();
    // addProfiles() has seen to it that the first profile has every dynamic input.
    if (isDynamic(shape)) {
      const bool dynamicBatch = shape.d[0] < 0;
      shape = toDims(profiles.at(0).at(input.getName()).range.opt);
      if (dynamicBatch) shape.d[0] = batchSize;
    }
    shapes.push_back(shape);
  }
  return shapes;
}

void setCalibrationProfile(nvinfer1::IBuilder& builder, nvinfer1::IBuilderConfig& config,
                           const nvinfer1::INetworkDefinition& network, const std::vector<RequestedProfile>& profiles,
                           const std::vector<nvinfer1::Dims>& shapes, const Version& version) {
  nvinfer1::IOptimizationProfile& profile = makeProfile(builder);
  bool open = false;
  for (std::int32_t i = 0; i < network.getNbInputs(); ++i) {
    const nvinfer1::ITensor& input = *network.getInput(i);
    if (!isOpen(input)) continue;
    open = true;
    RequestedRange range = profiles.at(0).at(input.getName());
    const Shape one = range.values ? range.range.opt : toShape(shapes[static_cast<std::size_t>(i)]);
    range.range = {one, one, one};
    ProfileEntry(profile, input, range, "calibration profile").set(version);
  }
  if (!open) return;
  const LogCapture log;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
  const bool taken = config.setCalibrationProfile(&profile);
#pragma GCC diagnostic pop
  if (!taken)
    throw TensorrtError("IBuilderConfig::setCalibrationProfile",
                        log.explain("TensorRT refuses the calibration profile"));
}

}  // namespace tensorrt_node::tensorrt
