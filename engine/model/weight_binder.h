// SPDX-License-Identifier: GPL-3.0-or-later
// Loaded tensors as the operators want them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/kernels/operators.h"
#include "engine/model/model_config.h"
#include "engine/model/weight_loader.h"

namespace tandem::model {

/// Views into a WeightSet, which must outlive them. Norms are copied to float.
class WeightBinder {
 public:
  WeightBinder(const WeightSet& weights, const ModelConfig& config)
      : weights_(weights),
        config_(config) {}

  /// `name`.weight with its scale when it has one.
  [[nodiscard]] kernels::WeightMatrix matrix(const std::string& name) const;

  /// A BF16 vector as float.
  [[nodiscard]] std::vector<float> norm(const std::string& name) const;

  /// An F32 tensor, viewed; 1-D tensors have one row.
  [[nodiscard]] kernels::Matrix<const float> floats(const std::string& name) const;
  [[nodiscard]] std::span<const float> vector(const std::string& name) const;

  /// The I32 table tid2eid.
  [[nodiscard]] kernels::Matrix<const std::int32_t> table(const std::string& name) const;

  /// prefix_fn, prefix_base, prefix_scale.
  [[nodiscard]] kernels::HyperConnectionWeights hyper(const std::string& prefix) const;

  [[nodiscard]] const ModelConfig& config() const { return config_; }

 private:
  const WeightSet& weights_;
  const ModelConfig& config_;
};

}  // namespace tandem::model
