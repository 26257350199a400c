// A library opened at run time: dlopen and its companions.
#include "shared_library.h"

#include <dlfcn.h>
#include <link.h>

#include <utility>

#include "error.h"

namespace tensorrt_node::tensorrt {

SharedLibrary::SharedLibrary(const std::string& name) : handle_(::dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL)) {
  if (handle_ != nullptr) return;
  const char* reason = ::dlerror();
  throw TensorrtError("dlopen", reason != nullptr ? reason : name + ": cannot be loaded");
}

SharedLibrary::~SharedLibrary() {
  if (handle_ != nullptr) ::dlclose(handle_);
}

SharedLibrary::SharedLibrary(SharedLibrary&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}

SharedLibrary& SharedLibrary::operator=(SharedLibrary&& other) noexcept {
  std::swap(handle_, other.handle_);
  return *this;
}

void* SharedLibrary::find(const char* symbol) const noexcept {
  return ::dlsym(handle_, symbol);
}

std::string SharedLibrary::path() const {
  link_map* map = nullptr;
  if (::dlinfo(handle_, RTLD_DI_LINKMAP, &map) != 0) return {};
  return map->l_name;
}

void SharedLibrary::keep() const noexcept {
  // Opening a loaded library again with this flag marks it; the handle it returns is ours to leave open.
  ::dlopen(path().c_str(), RTLD_NOW | RTLD_NOLOAD | RTLD_NODELETE);
}

}  // namespace tensorrt_node::tensorrt
