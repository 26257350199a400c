#include "activations.h"

#include <array>
#include <stdexcept>
#include <utility>

namespace tensorrt_node::tensorrt::plugins {
namespace {

using kernels::Activation;

constexpr std::array<std::pair<std::string_view, Activation>, 3> kNames{
    {{"silu", Activation::silu}, {"gelu_tanh", Activation::geluTanh}, {"gelu_erf", Activation::geluErf}}};

}  // namespace

Activation activationNamed(const std::string& name) {
  for (const auto& [known, activation] : kNames)
    if (known == name) return activation;
  throw std::invalid_argument("attribute 'activation' must be 'silu', 'gelu_tanh' or 'gelu_erf', got '" + name + "'");
}

std::string_view nameOf(Activation activation) noexcept {
  for (const auto& [name, known] : kNames)
    if (known == activation) return name;
  return {};
}

}  // namespace tensorrt_node::tensorrt::plugins
