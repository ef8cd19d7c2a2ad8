// SPDX-License-Identifier: GPL-3.0-or-later
// Reads one rank's share of a checkpoint into memory, after checking all of it against the plan.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/base/result.h"
#include "engine/comm/shard_spec.h"
#include "engine/model/dtype.h"
#include "engine/model/load_observer.h"
#include "engine/model/model_config.h"
#include "engine/model/weight_map.h"

namespace tandem::model {

/// One rank's slice of a tensor, as stored bytes (tables are narrowed to I32).
///
/// A slice of FP8 weights may begin inside a 128 x 128 block: then `blockRow` or `blockColumn` of
/// the weight says how far, and its scales hold every block that the slice touches.
struct HostTensor {
  struct Free {
    void operator()(std::byte* memory) const { std::free(memory); }
  };

  DType dtype = DType::F32;
  std::vector<std::int64_t> shape;
  std::unique_ptr<std::byte, Free> data;  // 64-byte aligned
  std::uint64_t bytes = 0;
  int blockRow = 0;
  int blockColumn = 0;

  template <typename T>
  [[nodiscard]] std::span<const T> as() const {
    return {reinterpret_cast<const T*>(data.get()), bytes / sizeof(T)};
  }
};

/// Everything one rank holds.
class WeightSet {
 public:
  /// Needs a name of the plan.
  [[nodiscard]] const HostTensor& tensor(const std::string& name) const;
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }
  [[nodiscard]] std::int64_t mtpModules() const { return mtpModules_; }

 private:
  friend Result<WeightSet> loadWeights(const std::filesystem::path& folder,
                                       const ModelConfig& config,
                                       comm::ShardSpec shard,
                                       LoadObserver* observer);

  std::map<std::string, HostTensor> tensors_;
  std::uint64_t bytes_ = 0;
  std::int64_t mtpModules_ = 0;
};

/// Loads `shard`'s part of the checkpoint in `folder`: model.safetensors, or the shards that
/// model.safetensors.index.json names. Reads only this rank's rows and columns.
///
/// observer  may be null
/// Fails     as Checkpoint::open; InvalidArgument as checkTensorParallel, and for tensors that are
///           missing, of a wrong dtype or shape, or unknown to the plan (the first ten by name,
///           with both shapes); DataCorrupt for a table that names experts which do not exist;
///           OutOfMemory.
[[nodiscard]] Result<WeightSet> loadWeights(const std::filesystem::path& folder,
                                            const ModelConfig& config,
                                            comm::ShardSpec shard,
                                            LoadObserver* observer);

}  // namespace tandem::model
