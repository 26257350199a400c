#include "dimension_names.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

#include "logger.h"

namespace tensorrt_node::tensorrt {
namespace {

// A dimension in each profile, min, opt and max.
using Extents = std::vector<std::array<std::int64_t, 3>>;

struct NamedDimension {
  nvinfer1::ITensor* input;
  std::int32_t index;
  Extents extents;
};

Extents extentsOf(const nvinfer1::ITensor& input, std::int32_t index, const std::vector<RequestedProfile>& profiles) {
  Extents extents;
  for (const RequestedProfile& profile : profiles) {
    const auto found = profile.find(input.getName());
    // A profile that names no shape leaves the network's own.
    const std::int64_t own = input.getDimensions().d[index];
    std::array<std::int64_t, 3> extent{own, own, own};
    if (found != profile.end() && !found->second.values) {
      const auto& [min, opt, max] = found->second.range;
      const auto at = static_cast<std::size_t>(index);
      if (at < std::min({min.size(), opt.size(), max.size()})) extent = {min[at], opt[at], max[at]};
    }
    extents.push_back(extent);
  }
  return extents;
}

}  // namespace

void clearBrokenNames(nvinfer1::INetworkDefinition& network, const std::vector<RequestedProfile>& profiles) {
  std::map<std::string, std::vector<NamedDimension>> byName;
  for (std::int32_t i = 0; i < network.getNbInputs(); ++i) {
    nvinfer1::ITensor& input = *network.getInput(i);
    for (std::int32_t index = 0; index < input.getDimensions().nbDims; ++index)
      if (const char* const name = input.getDimensionName(index); name != nullptr)
        byName[name].push_back({&input, index, extentsOf(input, index, profiles)});
  }
  for (const auto& [name, dimensions] : byName) {
    const bool kept = std::all_of(dimensions.begin(), dimensions.end(), [&](const NamedDimension& each) {
      return each.extents == dimensions.front().extents;
    });
    if (kept) continue;
    for (const NamedDimension& each : dimensions) each.input->setDimensionName(each.index, nullptr);
    const std::string line = "the profiles give dimensions named '" + name + "' different ranges: the name is ignored";
    Logger::instance().log(nvinfer1::ILogger::Severity::kINFO, line.c_str());
  }
}

}  // namespace tensorrt_node::tensorrt
