// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/model/moe_layer.h"

#include <fmt/core.h>

#include <algorithm>

namespace tandem::model {

MoeLayer::MoeLayer(const WeightBinder& weights, const std::string& prefix, bool hashed)
    : sharedGate_(weights.matrix(prefix + "shared_experts.w1")),
      sharedUp_(weights.matrix(prefix + "shared_experts.w3")),
      sharedDown_(weights.matrix(prefix + "shared_experts.w2")),
      expertsPerToken_(weights.config().numExpertsPerTok),
      limit_(weights.config().swigluLimit) {
  router_.gate = weights.matrix(prefix + "gate");
  router_.scale = weights.config().routedScalingFactor;
  if (hashed) {
    router_.hashTable = weights.table(prefix + "gate.tid2eid");
  } else {
    router_.bias = weights.vector(prefix + "gate.bias");
  }
  for (std::int64_t e = 0; e < weights.config().nRoutedExperts; ++e) {
    const std::string expert = fmt::format("{}experts.{}.", prefix, e);
    gate_.push_back(weights.matrix(expert + "w1"));
    up_.push_back(weights.matrix(expert + "w3"));
    down_.push_back(weights.matrix(expert + "w2"));
  }
}

Result<void> MoeLayer::forward(Step& step,
                               kernels::Matrix<float> y,
                               kernels::Matrix<const float> x) {
  const std::int64_t rows = step.rows();
  picks_.resize(static_cast<std::size_t>(rows * expertsPerToken_));
  pickWeights_.resize(picks_.size());
  const kernels::Matrix<std::int32_t> picks(picks_.data(), rows, expertsPerToken_);
  const kernels::Matrix<float> pickWeights(pickWeights_.data(), rows, expertsPerToken_);
  step.operators.route(picks, pickWeights, x, step.tokens, router_);
  if (step.trace != nullptr) {
    step.trace->experts = picks_;
  }

  for (std::int64_t r = 0; r < rows; ++r) {
    std::fill_n(y.row(r), y.cols, 0.F);
  }
  // The shared expert is one that every row chooses with weight 1.
  sharedPicks_.assign(static_cast<std::size_t>(rows), 0);
  sharedWeights_.assign(static_cast<std::size_t>(rows), 1.F);
  const kernels::ExpertWeights shared{{&sharedGate_, 1}, {&sharedUp_, 1}, {&sharedDown_, 1}};
  step.operators.experts(y,
                         x,
                         {sharedPicks_.data(), rows, 1},
                         {sharedWeights_.data(), rows, 1},
                         shared,
                         limit_,
                         step.rounding());
  step.operators.experts(y, x, picks, pickWeights, routed(), limit_, step.rounding());
  return step.communicator.allReduceSum({y.data, static_cast<std::size_t>(rows * y.cols)});
}

}  // namespace tandem::model
