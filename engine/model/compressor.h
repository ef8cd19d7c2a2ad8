// SPDX-License-Identifier: GPL-3.0-or-later
// The compressor: folds windows of 4 or 128 tokens into one entry each.
#pragma once

#include <string>
#include <vector>

#include "engine/model/step.h"
#include "engine/model/weight_binder.h"

namespace tandem::model {

/// What an entry is stored as.
enum class EntryKind {
  KeyValue,  // FP8 groups of 64, RoPE channels BF16
  Indexer,   // Hadamard, FP4 groups of 32
};

/// Weights of one compressor; its state is in the step's cache: the rings of raw rows in a
/// sequence's slot, and the entries in its blocks.
class Compressor {
 public:
  Compressor(const WeightBinder& weights, const std::string& prefix, int ratio, EntryKind kind);

  /// Projects the rows of x, keeps them by position, and stores every entry that they complete.
  ///
  /// x [rows, D]
  void append(Step& step, kernels::Matrix<const float> x, std::int64_t layer);

  [[nodiscard]] int ratio() const { return ratio_; }

 private:
  void appendRange(Step& step, const RowRange& range, std::int64_t layer);
  void makeEntries(Step& step,
                   const RowRange& range,
                   const kernels::CompressorRows& rows,
                   const kernels::EntryPages<std::byte>& entries);

  kernels::WeightMatrix wkv_;
  kernels::WeightMatrix wgate_;
  kernels::Matrix<const float> ape_;  // [ratio, width]
  std::vector<float> norm_;
  std::vector<double> frequencies_;
  std::int64_t ropeDim_;
  float eps_;
  int ratio_;
  EntryKind kind_;
  Scratch kvRows_;
  Scratch scoreRows_;
  Scratch entryRows_;
  kernels::Matrix<float> kv_;
  kernels::Matrix<float> score_;
  std::vector<std::int64_t> entryPositions_;
};

}  // namespace tandem::model
