#include "settings.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <sstream>
#include <vector>

#include "simulated_tensorrt.h"

namespace simulated_tensorrt {

namespace {

struct Held {
  std::mutex mutex;
  Settings settings;
  std::atomic<std::uint64_t> timedLayers{0};
};

bool number(const std::string& text, std::uint64_t& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return !text.empty() && error == std::errc{} && end == text.data() + text.size();
}

// "10.6.0" as so many numbers.
bool numbers(const std::string& text, const std::vector<int*>& values) {
  std::istringstream parts(text);
  std::string part;
  std::size_t count = 0;
  for (; std::getline(parts, part, '.'); ++count) {
    std::uint64_t value = 0;
    if (count == values.size() || !number(part, value) || value > 9999) return false;
    *values[count] = static_cast<int>(value);
  }
  return count == values.size();
}

struct NumberSetting {
  const char* name;
  std::uint64_t Settings::*field;
};
constexpr std::array numberSettings{
    NumberSetting{"buildSteps", &Settings::buildSteps},
    NumberSetting{"buildStepMs", &Settings::buildStepMs},
    NumberSetting{"layerMs", &Settings::layerMs},
    NumberSetting{"executeNs", &Settings::executeNs},
};

struct FailureSetting {
  const char* name;
  bool Settings::*field;
};
constexpr std::array failureSettings{
    FailureSetting{"parse", &Settings::failParse},     FailureSetting{"deserialize", &Settings::failDeserialize},
    FailureSetting{"context", &Settings::failContext}, FailureSetting{"enqueue", &Settings::failEnqueue},
    FailureSetting{"refit", &Settings::failRefit},
};

constexpr std::array buildFailures{"", "fail", "out-of-memory", "abort", "exit", "hang", "print-and-abort", "segfault"};

bool apply(Settings& to, const std::string& name, const std::string& value) {
  if (name == "version") return numbers(value, {&to.version.major, &to.version.minor, &to.version.patch});
  if (name == "computeCapability") return numbers(value, {&to.computeCapability.major, &to.computeCapability.minor});
  if (name == "noParser") {
    to.noParser = value == "1";
    return value == "0" || value == "1";
  }
  if (name == "build") {
    to.build = value;
    return std::find(buildFailures.begin(), buildFailures.end(), value) != buildFailures.end();
  }
  for (const NumberSetting& each : numberSettings)
    if (name == each.name) return number(value, to.*each.field);
  for (const FailureSetting& each : failureSettings) {
    if (name != each.name) continue;
    to.*each.field = value == "fail";
    return value.empty() || value == "fail";
  }
  return false;
}

void applyEnvironment(Settings& to) {
  const char* text = std::getenv("TENSORRT_NODE_SIMULATOR_TENSORRT");
  std::istringstream parts(text == nullptr ? "" : text);
  for (std::string part; std::getline(parts, part, ',');) {
    const std::size_t equals = part.find('=');
    if (equals != std::string::npos && apply(to, part.substr(0, equals), part.substr(equals + 1))) continue;
    std::cerr << "TENSORRT_NODE_SIMULATOR_TENSORRT: '" << part << "' makes no sense" << std::endl;
    std::abort();
  }
}

// Never destroyed: threads may still ask at exit.
Held& held() {
  static Held& instance = [&]() -> Held& {
    Held& made = *std::make_unique<Held>().release();
    applyEnvironment(made.settings);
    return made;
  }();
  return instance;
}

}  // namespace

Settings settings() {
  const std::lock_guard lock(held().mutex);
  return held().settings;
}

bool set(const std::string& name, const std::string& value) {
  const std::lock_guard lock(held().mutex);
  Settings changed = held().settings;
  if (!apply(changed, name, value)) return false;
  held().settings = changed;
  return true;
}

void countTimedLayer() {
  ++held().timedLayers;
}

}  // namespace simulated_tensorrt

using namespace simulated_tensorrt;

extern "C" {

int simulatedTensorrtSet(const char* name, const char* value) {
  return set(name, value) ? 1 : 0;
}

void simulatedTensorrtReset(void) {
  const std::lock_guard lock(held().mutex);
  held().settings = {};
  held().timedLayers = 0;
}

uint64_t simulatedTensorrtTimedLayers(void) {
  return held().timedLayers;
}

}  // extern "C"
