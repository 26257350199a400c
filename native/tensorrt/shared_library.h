// A library opened at run time, so that the addon loads where it is not installed.
#pragma once

#include <string>

namespace tensorrt_node::tensorrt {

class SharedLibrary {
 public:
  // `name` is a path, or a bare name for the dynamic loader to find. Throws TensorrtError with the loader's words.
  explicit SharedLibrary(const std::string& name);
  ~SharedLibrary();

  SharedLibrary(SharedLibrary&& other) noexcept;
  SharedLibrary& operator=(SharedLibrary&& other) noexcept;

  // The address of a symbol, or nullptr.
  void* find(const char* symbol) const noexcept;

  // The file that was loaded, as the loader resolved it.
  std::string path() const;

  // From now on the library stays in memory until the process ends.
  void keep() const noexcept;

 private:
  void* handle_ = nullptr;
};

}  // namespace tensorrt_node::tensorrt
