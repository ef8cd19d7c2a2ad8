// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/cuda/cuda_library.h"

#include <fmt/core.h>

#include <string_view>
#include <system_error>
#include <utility>

namespace tandem::cuda {

namespace {

constexpr const char* kFileName = "libtandem_cuda.so";

Result<std::filesystem::path> findLibrary(const std::filesystem::path& folder) {
  std::error_code failure;
  if (!folder.empty()) {
    return folder / kFileName;
  }
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", failure);
  if (failure) {
    return Error{ErrorCode::NotFound,
                 fmt::format("/proc/self/exe could not be read: {}", failure.message()),
                 "Name the library's folder."};
  }
  const std::filesystem::path beside = program.parent_path();
  for (const std::filesystem::path& candidate :
       {beside / kFileName, beside.parent_path() / "lib" / kFileName}) {
    if (std::filesystem::exists(candidate, failure)) {
      return candidate;
    }
  }
  return Error{ErrorCode::NotFound,
               fmt::format("{} is neither in {} nor in {}",
                           kFileName,
                           beside.string(),
                           (beside.parent_path() / "lib").string()),
               "Install tandem-engine-cuda, or build with the 'engine' preset."};
}

}  // namespace

Result<CudaLibrary> CudaLibrary::open(const std::filesystem::path& folder) {
  const Result<std::filesystem::path> file = findLibrary(folder);
  if (!file) {
    return file.error();
  }
  Result<DynamicLibrary> library = DynamicLibrary::open(*file);
  if (!library) {
    return library.error();
  }
  const Result<void*> symbol = library->symbol(kExportsSymbol);
  if (!symbol) {
    return symbol.error().within(file->string());
  }
  const CudaExports* exports = reinterpret_cast<ExportsFunction>(*symbol)();
  if (std::string_view(exports->buildId) != TANDEM_BUILD_ID) {
    return Error{ErrorCode::InvalidArgument,
                 fmt::format("{} is of build {}, this program of build {}",
                             file->string(),
                             exports->buildId,
                             TANDEM_BUILD_ID),
                 "Install both from one build."};
  }
  return CudaLibrary(std::move(*library), exports, *file);
}

}  // namespace tandem::cuda
