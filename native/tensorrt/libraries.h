// TensorRT's shared libraries, found and opened at run time.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "shared_library.h"
#include "version.h"

namespace tensorrt_node::tensorrt {

// Opening asks the libraries for their version and for nothing else. Everything beyond that needs CUDA to be
// initialised first: without a driver, TensorRT 10.6 ends the process or hands out objects that crash.
class Libraries {
 public:
  // Opens libnvinfer from the first of `candidates` (paths or bare names) that loads and whose version serves, and the
  // ONNX parser beside it. Throws TensorrtError that says of each candidate why it was passed over.
  static Libraries open(const std::vector<std::string>& candidates);

  const Version& version() const noexcept { return version_; }
  std::string inferPath() const { return infer_.path(); }

  // The parser is needed to build engines, not to run them, so it may be missing.
  std::optional<std::string> parserPath() const;
  const std::string& parserProblem() const noexcept { return parserProblem_; }

  // A C function of libnvinfer or of the parser by its name; throws TensorrtError when there is none. What they return
  // may be used only once CUDA is initialised and a context is current.
  template <typename Function>
  Function* infer(const char* symbol) const {
    return reinterpret_cast<Function*>(required(&infer_, symbol));
  }
  template <typename Function>
  Function* parser(const char* symbol) const {
    return reinterpret_cast<Function*>(required(parser_ ? &*parser_ : nullptr, symbol));
  }

 private:
  Libraries(SharedLibrary infer, Version version);
  void* required(const SharedLibrary* library, const char* symbol) const;

  SharedLibrary infer_;
  Version version_;
  std::optional<SharedLibrary> parser_;
  std::string parserProblem_;
};

}  // namespace tensorrt_node::tensorrt
