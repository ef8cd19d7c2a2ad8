// SPDX-License-Identifier: GPL-3.0-or-later
// libtandem_cuda.so opened at run time, so that one engine binary starts on every machine.
#pragma once

#include <filesystem>

#include "engine/base/dynamic_library.h"
#include "engine/base/result.h"
#include "engine/cuda/cuda_exports.h"

namespace tandem::cuda {

/// An open library. Everything made through `exports()` must be gone before it.
class CudaLibrary {
 public:
  /// Looks for libtandem_cuda.so in `folder`, or beside the running program and in ../lib when
  /// `folder` is empty.
  ///
  /// Fails    NotFound when the file or a library it needs (NCCL) is missing, in the loader's
  /// words;
  ///          InvalidArgument when it comes from another build. The text is fit to show as the
  ///          reason why CUDA is not used.
  static Result<CudaLibrary> open(const std::filesystem::path& folder = {});

  [[nodiscard]] const CudaExports& exports() const { return *exports_; }
  [[nodiscard]] const std::filesystem::path& file() const { return file_; }

 private:
  CudaLibrary(DynamicLibrary library, const CudaExports* exports, std::filesystem::path file)
      : library_(std::move(library)),
        exports_(exports),
        file_(std::move(file)) {}

  DynamicLibrary library_;
  const CudaExports* exports_;
  std::filesystem::path file_;
};

}  // namespace tandem::cuda
