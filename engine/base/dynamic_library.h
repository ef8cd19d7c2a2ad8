// SPDX-License-Identifier: GPL-3.0-or-later
// The owner of a library opened at run time.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "engine/base/result.h"

namespace tandem {

/// A library that may be absent: a driver, or our own CUDA back end. Closed with its last owner.
class DynamicLibrary {
 public:
  /// `file` is a path, or a soname that the loader looks for.
  /// Fails    NotFound with the loader's own words: the library or one it needs is not there.
  static Result<DynamicLibrary> open(const std::filesystem::path& file);

  /// The address of a symbol.
  /// Fails    NotFound
  [[nodiscard]] Result<void*> symbol(const std::string& name) const;

 private:
  struct Close {
    void operator()(void* handle) const;
  };
  explicit DynamicLibrary(void* handle)
      : handle_(handle) {}

  std::unique_ptr<void, Close> handle_;
};

}  // namespace tandem
