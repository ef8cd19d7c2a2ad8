// SPDX-License-Identifier: GPL-3.0-or-later
// The two ends of the model that are cut by vocabulary: token embedding and logits.
#pragma once

#include <span>
#include <vector>

#include "engine/base/result.h"
#include "engine/comm/shard_spec.h"
#include "engine/model/step.h"
#include "engine/model/weight_binder.h"

namespace tandem::model {

/// This rank's rows of embed.weight and head.weight.
class Vocabulary {
 public:
  Vocabulary(const WeightBinder& weights, comm::ShardSpec shard);

  /// out[r] = embed[tokens[r]], on every rank. out [rows, D].
  Result<void> embed(const Step& step, kernels::Matrix<float> out, std::span<const TokenId> tokens);

  /// Words there are, over all ranks.
  [[nodiscard]] std::int64_t size() const { return head_.rows * ranks_; }

  /// logits[r] = head · h[r], whole rows on every rank. h [rows, D], logits [rows, V].
  Result<void> logits(const Step& step,
                      kernels::Matrix<float> logits,
                      kernels::Matrix<const float> h);

 private:
  kernels::WeightMatrix embedding_;
  kernels::WeightMatrix head_;
  comm::ShardRange range_;
  int ranks_;
  Scratch local_;
  Scratch gathered_;
};

}  // namespace tandem::model
