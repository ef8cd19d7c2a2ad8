// SPDX-License-Identifier: GPL-3.0-or-later
// Attention of one layer: one KV vector for all heads, a window, and compressed entries behind it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/base/result.h"
#include "engine/model/compressor.h"
#include "engine/model/lightning_indexer.h"
#include "engine/model/step.h"
#include "engine/model/weight_binder.h"

namespace tandem::model {

/// This rank's heads and groups; the caches are whole on every rank.
///
/// Ratio 0 attends to the window alone, ratio 4 (CSA) also to what the indexer chose, ratio 128
/// (HCA) also to every entry. Source: model.py Attention.
class Attention {
 public:
  /// `layer` is the index of the layer's cache.
  Attention(const WeightBinder& weights,
            const std::string& prefix,
            int ratio,
            std::int64_t layer,
            int ranks);

  /// y = attention(x), summed over the ranks.
  ///
  /// x, y [rows, D]; x is normalised already.
  /// Fails    as Communicator::allReduceSum
  Result<void> forward(Step& step, kernels::Matrix<float> y, kernels::Matrix<const float> x);

 private:
  void attend(Step& step,
              kernels::Matrix<float> o,
              kernels::Matrix<const float> q,
              kernels::Matrix<const float> kv);

  kernels::WeightMatrix wqA_;
  kernels::WeightMatrix wqB_;
  kernels::WeightMatrix wkv_;
  kernels::WeightMatrix woA_;
  kernels::WeightMatrix woB_;
  std::vector<float> qNorm_;
  std::vector<float> kvNorm_;
  std::span<const float> sinks_;
  std::vector<double> frequencies_;
  std::optional<Compressor> compressor_;
  std::optional<LightningIndexer> indexer_;
  std::int64_t headDim_;
  std::int64_t ropeDim_;
  std::int64_t window_;
  float eps_;
  int localGroups_;
  std::int64_t layer_;
  std::vector<std::int32_t> visible_;
  Scratch qr_;
  Scratch q_;
  Scratch kv_;
  Scratch o_;
  Scratch u_;
};

}  // namespace tandem::model
