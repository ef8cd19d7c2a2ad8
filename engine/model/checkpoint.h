// SPDX-License-Identifier: GPL-3.0-or-later
// The files of a checkpoint, opened, and where each tensor is in them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "engine/base/result.h"
#include "engine/model/safetensors_file.h"

namespace tandem::model {

/// Headers are read and checked, data is not. Immutable afterwards: any thread may read.
class Checkpoint {
 public:
  struct Place {
    std::size_t file = 0;  // in files()
    const StoredTensor* tensor = nullptr;
  };

  /// Opens model.safetensors, or every shard that model.safetensors.index.json names.
  ///
  /// Fails    NotFound for a folder without them and for a shard that is missing; PermissionDenied;
  ///          DataCorrupt for a broken index or file, and for a tensor that two files hold.
  static Result<Checkpoint> open(const std::filesystem::path& folder);

  [[nodiscard]] const std::vector<SafetensorsFile>& files() const { return files_; }
  [[nodiscard]] const std::map<std::string, Place>& tensors() const { return tensors_; }

  /// Null when no file holds it.
  [[nodiscard]] const StoredTensor* find(const std::string& name) const;

  /// Counted by name, not taken from num_nextn_predict_layers. 0 for the block drafter of the 0731
  /// release, whose mtp.N tensors are another model.
  [[nodiscard]] std::int64_t mtpModules() const;

  /// What is odd about the files but stops nothing.
  [[nodiscard]] const std::vector<std::string>& notices() const { return notices_; }

 private:
  std::vector<SafetensorsFile> files_;
  std::map<std::string, Place> tensors_;
  std::vector<std::string> notices_;
};

}  // namespace tandem::model
