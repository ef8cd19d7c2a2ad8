// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/base/dynamic_library.h"

#include <dlfcn.h>
#include <fmt/core.h>

namespace tandem {

namespace {

std::string loaderWords() {
  const char* words = ::dlerror();
  return words == nullptr ? "the loader gave no reason" : words;
}

}  // namespace

void DynamicLibrary::Close::operator()(void* handle) const {
  ::dlclose(handle);
}

Result<DynamicLibrary> DynamicLibrary::open(const std::filesystem::path& file) {
  void* handle = ::dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    return Error{ErrorCode::NotFound, loaderWords(), ""};
  }
  return DynamicLibrary(handle);
}

Result<void*> DynamicLibrary::symbol(const std::string& name) const {
  void* address = ::dlsym(handle_.get(), name.c_str());
  if (address == nullptr) {
    return Error{ErrorCode::NotFound, loaderWords(), ""};
  }
  return address;
}

}  // namespace tandem
