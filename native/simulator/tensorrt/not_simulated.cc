#include "not_simulated.h"

#include <cstdlib>
#include <iostream>

#include "settings.h"

namespace simulated_tensorrt {

void notSimulated(const char* interface, const char* method) {
  std::cerr << "simulated TensorRT: " << interface << "::" << method << " is not simulated" << std::endl;
  std::abort();
}

void since(int minor, const char* interface, const char* method) {
  const Version version = settings().version;
  if (version.major > 10 || version.minor >= minor) return;
  std::cerr << "simulated TensorRT: TensorRT " << version.text() << " has no " << interface << "::" << method
            << ", which came with 10." << minor << std::endl;
  std::abort();
}

}  // namespace simulated_tensorrt
