// SPDX-License-Identifier: GPL-3.0-or-later
// One safetensors file: its checked header, and reads of parts of its tensors.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "engine/base/file_descriptor.h"
#include "engine/base/result.h"
#include "engine/model/dtype.h"

namespace tandem::model {

/// Where a tensor lies in its file. Packed FP4 is I8 with two elements a byte, however spelled.
struct StoredTensor {
  DType dtype = DType::F32;
  std::vector<std::int64_t> shape;
  std::uint64_t offset = 0;  // of the first byte, from the start of the file
  std::uint64_t bytes = 0;
};

/// "[1024, 4096]"
[[nodiscard]] std::string formatShape(std::span<const std::int64_t> shape);

/// An open file. Reads are pread, so any thread may read.
class SafetensorsFile {
 public:
  /// Reads the header and checks it against the file's size.
  ///
  /// Fails    NotFound, PermissionDenied; DataCorrupt for a header that is too long, not JSON, or
  ///          whose tensors share bytes, do not fit their shape or lie outside the file;
  ///          InvalidArgument for a dtype nobody knows.
  static Result<SafetensorsFile> open(const std::filesystem::path& path);

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] const std::map<std::string, StoredTensor>& tensors() const { return tensors_; }

  /// Fills `out` from `offset` bytes into the tensor's data. Needs offset + out.size() <= bytes.
  /// Fails    DataCorrupt when the file ends early.
  [[nodiscard]] Result<void> read(const StoredTensor& tensor,
                                  std::uint64_t offset,
                                  std::span<std::byte> out) const;

 private:
  SafetensorsFile(std::filesystem::path path, FileDescriptor file)
      : path_(std::move(path)),
        file_(std::move(file)) {}

  Result<void> parseHeader(const std::string& text,
                           std::uint64_t dataBegin,
                           std::uint64_t fileBytes);

  std::filesystem::path path_;
  FileDescriptor file_;
  std::map<std::string, StoredTensor> tensors_;
};

}  // namespace tandem::model
