// SPDX-License-Identifier: GPL-3.0-or-later
// Tensors of an oracle's golden file, read for comparison.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/base/result.h"
#include "engine/base/token_id.h"
#include "engine/model/safetensors_file.h"

namespace tandem::tests {

class GoldenFile {
 public:
  static Result<GoldenFile> open(const std::string& path);

  [[nodiscard]] bool has(const std::string& name) const { return file_.tensors().contains(name); }
  [[nodiscard]] std::vector<std::string> names() const;
  [[nodiscard]] std::vector<std::int64_t> shape(const std::string& name) const;

  /// Need the tensor to exist with that element type; throw otherwise, which fails the test.
  [[nodiscard]] std::vector<float> floats(const std::string& name) const;
  [[nodiscard]] std::vector<std::int32_t> integers(const std::string& name) const;
  [[nodiscard]] std::vector<std::uint8_t> bytes(const std::string& name) const;

  /// The prompts "p1", "p6", …, in the order of the file's names.
  [[nodiscard]] std::vector<std::string> prompts() const;

 private:
  explicit GoldenFile(model::SafetensorsFile file)
      : file_(std::move(file)) {}

  template <typename T>
  [[nodiscard]] std::vector<T> read(const std::string& name) const;

  model::SafetensorsFile file_;
};

}  // namespace tandem::tests
