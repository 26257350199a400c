// Optimization profiles: the range of shapes that an engine is tuned for.
#pragma once

#include <NvInfer.h>

#include <vector>

#include "build_request.h"
#include "version.h"

namespace tensorrt_node::tensorrt {

// Adds each profile to the config. Throws TensorrtError that names input and profile where one is missing, unknown or
// does not fit the network.
void addProfiles(nvinfer1::IBuilder& builder, nvinfer1::IBuilderConfig& config,
                 const nvinfer1::INetworkDefinition& network, const std::vector<RequestedProfile>& profiles,
                 const Version& version);

// The one shape that a calibration batch has for each input: the first profile's optimum, with `batchSize` as a dynamic
// first dimension. In the network's order.
std::vector<nvinfer1::Dims> calibrationShapes(const nvinfer1::INetworkDefinition& network,
                                              const std::vector<RequestedProfile>& profiles, std::int64_t batchSize);

// Makes the config calibrate with these shapes. Throws TensorrtError.
void setCalibrationProfile(nvinfer1::IBuilder& builder, nvinfer1::IBuilderConfig& config,
                           const nvinfer1::INetworkDefinition& network, const std::vector<RequestedProfile>& profiles,
                           const std::vector<nvinfer1::Dims>& shapes, const Version& version);

}  // namespace tensorrt_node::tensorrt
