#include "profile.h"

#include <algorithm>

namespace simulated_tensorrt {

namespace {

std::size_t at(nvinfer1::OptProfileSelector select) {
  return static_cast<std::size_t>(select);
}

}  // namespace

bool isValid(const Range& range, const std::string& named, std::string& problem) {
  const auto& [least, best, most] = range;
  const bool complete = least.size() == best.size() && best.size() == most.size();
  bool ordered = complete;
  for (std::size_t i = 0; complete && i < least.size(); ++i)
    ordered = ordered && least[i] <= best[i] && best[i] <= most[i];
  if (!ordered)
    problem = named + " must have MIN <= OPT <= MAX, got " + textOf(least) + ", " + textOf(best) + ", " + textOf(most);
  return ordered;
}

bool Profile::setDimensions(char const* input, nvinfer1::OptProfileSelector select,
                            nvinfer1::Dims const& dims) noexcept {
  const Shape shape = shapeOf(dims);
  if (input == nullptr || !isKnown(shape)) return false;
  ranges_.shapes[input][at(select)] = shape;
  return true;
}

nvinfer1::Dims Profile::getDimensions(char const* input, nvinfer1::OptProfileSelector select) const noexcept {
  const auto found = ranges_.shapes.find(input);
  if (found != ranges_.shapes.end()) return dimsOf(found->second[at(select)]);
  nvinfer1::Dims none{};
  none.nbDims = -1;
  return none;
}

bool Profile::setShapeValues(char const* input, nvinfer1::OptProfileSelector select, int32_t const* values,
                             int32_t count) noexcept {
  if (input == nullptr || values == nullptr || count < 0) return false;
  ranges_.values[input][at(select)].assign(values, values + count);
  return true;
}

bool Profile::setShapeValuesV2(char const* input, nvinfer1::OptProfileSelector select, int64_t const* values,
                               int32_t count) noexcept {
  since(11, "IOptimizationProfile", "setShapeValuesV2");
  if (input == nullptr || values == nullptr || count < 0) return false;
  ranges_.values[input][at(select)].assign(values, values + count);
  return true;
}

int32_t Profile::getNbShapeValues(char const* input) const noexcept {
  const auto found = ranges_.values.find(input);
  return found == ranges_.values.end() ? -1 : static_cast<int32_t>(found->second[0].size());
}

bool Profile::isValid() const noexcept {
  std::string problem;
  const auto valid = [&](const auto& named) { return simulated_tensorrt::isValid(named.second, named.first, problem); };
  return std::all_of(ranges_.shapes.begin(), ranges_.shapes.end(), valid) &&
         std::all_of(ranges_.values.begin(), ranges_.values.end(), valid);
}

}  // namespace simulated_tensorrt
