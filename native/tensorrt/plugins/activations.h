// Names of activations in attributes.
#pragma once

#include <string>
#include <string_view>

#include "../../kernels/parameters.h"

namespace tensorrt_node::tensorrt::plugins {

// Throws std::invalid_argument for a name that none has.
kernels::Activation activationNamed(const std::string& name);
std::string_view nameOf(kernels::Activation activation) noexcept;

}  // namespace tensorrt_node::tensorrt::plugins
