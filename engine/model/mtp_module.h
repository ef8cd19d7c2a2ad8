// SPDX-License-Identifier: GPL-3.0-or-later
// The multi-token-prediction module: a block of its own that guesses the token after the next.
#pragma once

#include <string>
#include <vector>

#include "engine/base/result.h"
#include "engine/model/step.h"
#include "engine/model/transformer_block.h"
#include "engine/model/weight_binder.h"

namespace tandem::model {

/// Source: model.py MTPBlock.
class MtpModule {
 public:
  MtpModule(const WeightBinder& weights, std::int64_t module, int ranks);

  /// From the streams that left the last layer at a position, and the embedded token after it, the
  /// hidden vector whose logits predict the token after that one.
  ///
  /// step      rows are positions, step.tokens the tokens *after* them
  /// h         [rows, D], ready for the head
  /// streams   [rows, M * D]; becomes the module's own streams
  /// embedded  [rows, D]
  Result<void> forward(Step& step,
                       kernels::Matrix<float> h,
                       kernels::Matrix<float> streams,
                       kernels::Matrix<const float> embedded);

 private:
  kernels::WeightMatrix eProj_;
  kernels::WeightMatrix hProj_;
  std::vector<float> eNorm_;
  std::vector<float> hNorm_;
  std::vector<float> norm_;
  kernels::HyperConnectionWeights hyperHead_;
  TransformerBlock block_;
  std::int64_t streams_;
  float eps_;
  Scratch e_;
  Scratch projected_;
  Scratch normalised_;
};

}  // namespace tandem::model
