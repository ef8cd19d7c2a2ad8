// SPDX-License-Identifier: GPL-3.0-or-later
// The mixture of experts of one layer: router, routed experts, shared expert.
#pragma once

#include <string>
#include <vector>

#include "engine/base/result.h"
#include "engine/model/step.h"
#include "engine/model/weight_binder.h"

namespace tandem::model {

/// This rank's slice of every expert's intermediate width. Source: model.py MoE, Gate, Expert.
class MoeLayer {
 public:
  MoeLayer(const WeightBinder& weights, const std::string& prefix, bool hashed);

  /// y = Σ routed + shared, summed over the ranks. x, y [rows, D]; x is normalised already.
  /// Fails    as Communicator::allReduceSum
  Result<void> forward(Step& step, kernels::Matrix<float> y, kernels::Matrix<const float> x);

 private:
  [[nodiscard]] kernels::ExpertWeights routed() const { return {gate_, up_, down_}; }

  kernels::RouterWeights router_;
  std::vector<kernels::WeightMatrix> gate_;
  std::vector<kernels::WeightMatrix> up_;
  std::vector<kernels::WeightMatrix> down_;
  kernels::WeightMatrix sharedGate_;
  kernels::WeightMatrix sharedUp_;
  kernels::WeightMatrix sharedDown_;
  std::int64_t expertsPerToken_;
  float limit_;
  std::vector<std::int32_t> picks_;
  std::vector<float> pickWeights_;
  std::vector<std::int32_t> sharedPicks_;
  std::vector<float> sharedWeights_;
};

}  // namespace tandem::model
