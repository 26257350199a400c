// Opening TensorRT's libraries and checking that they are ones this was compiled for.
#include "libraries.h"

#include <NvInfer.h>

#include <utility>

#include "error.h"

namespace tensorrt_node::tensorrt {
namespace {

constexpr const char* kParser = "libnvonnxparser.so.10";
constexpr const char* kHint =
    "install TensorRT 10.6 or later in major 10 (NVIDIA's packages, or pip install tensorrt-cu12), or set "
    "TENSORRT_ROOT to where it is";

Version versionOf(const SharedLibrary& infer) {
  auto* const version = reinterpret_cast<decltype(&getInferLibVersion)>(infer.find("getInferLibVersion"));
  if (version == nullptr)
    throw TensorrtError("dlsym", infer.path() + ": is not TensorRT: it has no getInferLibVersion");
  return Version::fromNumber(version());
}

SharedLibrary openParser(const std::string& inferPath) {
  try {
    return SharedLibrary(inferPath.substr(0, inferPath.rfind('/') + 1) + kParser);
  } catch (const TensorrtError& beside) {
    // NVIDIA's packages may put the parser elsewhere, where the loader finds it.
    try {
      return SharedLibrary(kParser);
    } catch (const TensorrtError& elsewhere) {
      throw TensorrtError("dlopen", std::string(beside.what()) + "; " + elsewhere.what());
    }
  }
}

}  // namespace

Libraries Libraries::open(const std::vector<std::string>& candidates) {
  std::string problems;
  for (const std::string& candidate : candidates) {
    try {
      SharedLibrary infer(candidate);
      const Version version = versionOf(infer);
      if (version.serves()) return Libraries(std::move(infer), version);
      problems += "\n  " + infer.path() + ": is TensorRT " + version.text() + "; 10.6 or later in major 10 is needed";
    } catch (const TensorrtError& error) {
      problems += std::string("\n  ") + error.what();
    }
  }
  throw TensorrtError("dlopen", "no TensorRT that can be used was found:" + problems, kHint);
}

Libraries::Libraries(SharedLibrary infer, Version version) : infer_(std::move(infer)), version_(version) {
  // TensorRT keeps threads and exit handlers of its own: unloading it is not safe.
  infer_.keep();
  try {
    parser_ = openParser(infer_.path());
    if (parser_->find("createNvOnnxParser_INTERNAL") == nullptr) {
      parserProblem_ = parser_->path() + ": is not TensorRT's ONNX parser: it has no createNvOnnxParser_INTERNAL";
      parser_.reset();
      return;
    }
    parser_->keep();
  } catch (const TensorrtError& error) {
    parserProblem_ = error.what();
  }
}

void* Libraries::required(const SharedLibrary* library, const char* symbol) const {
  if (library == nullptr) throw TensorrtError("dlopen", "no ONNX parser of TensorRT: " + parserProblem_, kHint);
  void* const found = library->find(symbol);
  if (found == nullptr) throw TensorrtError("dlsym", library->path() + ": has no " + symbol, kHint);
  return found;
}

std::optional<std::string> Libraries::parserPath() const {
  if (!parser_) return std::nullopt;
  return parser_->path();
}

}  // namespace tensorrt_node::tensorrt
