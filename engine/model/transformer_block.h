// SPDX-License-Identifier: GPL-3.0-or-later
// One layer: attention and experts, each between a collapse and a mix of the residual streams.
#pragma once

#include <string>
#include <vector>

#include "engine/base/result.h"
#include "engine/model/attention.h"
#include "engine/model/moe_layer.h"
#include "engine/model/step.h"
#include "engine/model/weight_binder.h"

namespace tandem::model {

/// Source: model.py Block.
class TransformerBlock {
 public:
  struct Shape {
    int ratio = 0;           // compress_ratios entry
    bool hashed = false;     // experts by token id
    std::int64_t layer = 0;  // index of the layer's cache
    int ranks = 1;
  };

  TransformerBlock(const WeightBinder& weights, const std::string& prefix, const Shape& shape);

  /// streams [rows, M * D], in place.
  /// Fails    as Communicator::allReduceSum
  Result<void> forward(Step& step, kernels::Matrix<float> streams);

 private:
  kernels::HyperConnectionWeights hyperAttention_;
  kernels::HyperConnectionWeights hyperFfn_;
  std::vector<float> attentionNorm_;
  std::vector<float> ffnNorm_;
  Attention attention_;
  MoeLayer moe_;
  std::int64_t width_;
  std::int64_t streams_;
  float eps_;
  Scratch x_;
  Scratch y_;
  Scratch post_;
  Scratch comb_;
};

}  // namespace tandem::model
