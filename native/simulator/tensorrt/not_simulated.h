// What becomes of methods that are not simulated, or that the pretended version of TensorRT does not have.
#pragma once

#include <string>

namespace simulated_tensorrt {

// Ends the process and says why: for what the real TensorRT would crash of, sooner or later.
[[noreturn]] void end(const std::string& why);
// Says that the method is not simulated.
[[noreturn]] void notSimulated(const char* interface, const char* method);
// The same, if TensorRT 10.`minor` is the first to have it and an older one is pretended: with the real one, the call
// would go to wherever its table of functions ends.
void since(int minor, const char* interface, const char* method);

}  // namespace simulated_tensorrt

// Overrides a pure virtual method of TensorRT's headers; `INTERFACE` is the name people know it by.
#define NOT_SIMULATED(result, name, parameters, constness) \
  result name parameters constness noexcept override { simulated_tensorrt::notSimulated(INTERFACE, #name); }
