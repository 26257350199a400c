#include "not_simulated.h"

#include <cstdlib>
#include <iostream>

#include "settings.h"

namespace simulated_tensorrt {

void end(const std::string& why) {
  std::cerr << "simulated TensorRT: " << why << std::endl;
  std::abort();
}

void notSimulated(const char* interface, const char* method) {
  end(std::string(interface) + "::" + method + " is not simulated");
}

void since(int minor, const char* interface, const char* method) {
  const Version version = settings().version;
  if (version.major > 10 || version.minor >= minor) return;
  end("TensorRT " + version.text() + " has no " + interface + "::" + method + ", which came with 10." +
      std::to_string(minor));
}

}  // namespace simulated_tensorrt
