#include "settings.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include "world.h"

namespace simulator {

namespace {

struct AtExit {
  std::string report;
  bool leaks = false;
  int exitCode = 0;
};

AtExit& atExit() {
  static AtExit& instance = *std::make_unique<AtExit>().release();
  return instance;
}

void reportAtExit() {
  const AtExit& wanted = atExit();
  World& state = world();
  const std::lock_guard lock(state.mutex);
  if (wanted.leaks) state.findLeaks(std::nullopt);
  if (wanted.report == "stderr") {
    std::cerr << state.findings.text() << std::flush;
  } else if (!wanted.report.empty()) {
    std::ofstream(wanted.report) << state.findings.text();
  }
  // At once: other exit handlers could only lose the code.
  if (wanted.exitCode != 0 && !state.findings.empty()) _exit(wanted.exitCode);
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(separator), text.size());
    if (end > 0) parts.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
}

bool number(std::string_view text, std::uint64_t& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size();
}

bool planFault(Faults& faults, std::string_view value) {
  const auto parts = split(value, ':');
  std::uint64_t nth = 0;
  std::uint64_t code = 0;
  if (parts.size() != 3 || !number(parts[1], nth) || !number(parts[2], code)) return false;
  faults.plan(std::string(parts[0]), nth, 1, static_cast<CUresult>(code));
  return true;
}

struct NumberSetting {
  std::string_view name;
  std::uint64_t SimulatorConfig::*field;
};
constexpr std::array numberSettings{
    NumberSetting{"devices", &SimulatorConfig::devices},
    NumberSetting{"deviceBytes", &SimulatorConfig::deviceBytes},
    NumberSetting{"pinnedBytes", &SimulatorConfig::pinnedBytes},
    NumberSetting{"operationNs", &SimulatorConfig::operationNs},
    NumberSetting{"jitterNs", &SimulatorConfig::jitterNs},
    NumberSetting{"copyBytesPerSecond", &SimulatorConfig::copyBytesPerSecond},
    NumberSetting{"seed", &SimulatorConfig::seed},
    NumberSetting{"virtualMemory", &SimulatorConfig::virtualMemory},
};

bool apply(World& state, std::string_view name, std::string_view value) {
  std::uint64_t count = 0;
  if (name == "fail") return planFault(state.faults, value);
  if (name == "report") {
    atExit().report = value;
    return true;
  }
  if (!number(value, count)) return false;
  if (name == "leaks") {
    atExit().leaks = count != 0;
    return true;
  }
  if (name == "exitCode") {
    atExit().exitCode = static_cast<int>(count);
    return true;
  }
  for (const NumberSetting& setting : numberSettings) {
    if (setting.name != name) continue;
    state.config.*setting.field = count;
    return true;
  }
  return false;
}

}  // namespace

void applyEnvironment(World& state) {
  const char* text = std::getenv("TENSORRT_NODE_SIMULATOR");
  if (text == nullptr) return;
  for (const std::string_view setting : split(text, ',')) {
    const std::size_t equals = std::min(setting.find('='), setting.size());
    const std::string_view value = setting.substr(std::min(equals + 1, setting.size()));
    if (apply(state, setting.substr(0, equals), value)) continue;
    std::cerr << "TENSORRT_NODE_SIMULATOR: '" << setting << "' makes no sense\n";
    state.misconfigured = true;
  }
  static const bool registered = std::atexit(reportAtExit) == 0;
  static_cast<void>(registered);
}

}  // namespace simulator
