// SPDX-License-Identifier: GPL-3.0-or-later
// The lightning indexer: chooses which compressed entries a query of a ratio-4 layer attends to.
#pragma once

#include <string>
#include <vector>

#include "engine/model/compressor.h"
#include "engine/model/step.h"
#include "engine/model/weight_binder.h"

namespace tandem::model {

/// Source: model.py Indexer.
class LightningIndexer {
 public:
  LightningIndexer(const WeightBinder& weights, const std::string& prefix, std::int64_t layer);

  /// Fills the indexer's cache and chooses for every row.
  ///
  /// x [rows, D]; qr [rows, q_lora_rank], the normalised low-rank query of the layer.
  void choose(Step& step, kernels::Matrix<const float> x, kernels::Matrix<const float> qr);

  /// Of the last choose(): entry numbers [rows, topk] and how many of them count.
  [[nodiscard]] kernels::Matrix<const std::int32_t> chosen() const;
  [[nodiscard]] std::span<const std::int32_t> counts() const { return counts_; }

 private:
  kernels::WeightMatrix wqB_;
  kernels::WeightMatrix weightsProj_;
  Compressor compressor_;
  std::vector<double> frequencies_;
  std::int64_t heads_;
  std::int64_t headDim_;
  std::int64_t topk_;
  std::int64_t layer_;
  Scratch q_;
  Scratch headWeights_;
  std::vector<std::int32_t> chosen_;
  std::vector<std::int32_t> counts_;
  std::vector<std::int32_t> visible_;
};

}  // namespace tandem::model
