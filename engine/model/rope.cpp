// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/model/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace tandem::model {

namespace {

/// The (fractional) pair whose wavelength fits `rotations` times into the original context.
double pairAt(double rotations, double dim, double theta, double originalContext) {
  return dim * std::log(originalContext / (rotations * 2 * std::numbers::pi)) /
         (2 * std::log(theta));
}

}  // namespace

std::vector<double> ropeFrequencies(const ModelConfig& config, RopeKind kind) {
  const auto dim = static_cast<double>(config.qkRopeHeadDim);
  const double theta = kind == RopeKind::Window ? config.ropeTheta : config.compressRopeTheta;
  std::vector<double> frequencies(static_cast<std::size_t>(config.qkRopeHeadDim / 2));
  for (std::size_t i = 0; i < frequencies.size(); ++i) {
    frequencies[i] = std::pow(theta, -2.0 * static_cast<double>(i) / dim);
  }
  if (kind == RopeKind::Window || !config.ropeScaling) {
    return frequencies;
  }
  const RopeScaling& yarn = *config.ropeScaling;
  const double context = yarn.originalMaxPositionEmbeddings;
  const double low = std::max(std::floor(pairAt(yarn.betaFast, dim, theta, context)), 0.0);
  const double high = std::min(std::ceil(pairAt(yarn.betaSlow, dim, theta, context)), dim - 1);
  for (std::size_t i = 0; i < frequencies.size(); ++i) {
    const double ramp =
        std::clamp((static_cast<double>(i) - low) / std::max(high - low, 1e-3), 0.0, 1.0);
    frequencies[i] = frequencies[i] / yarn.factor * ramp + frequencies[i] * (1 - ramp);
  }
  return frequencies;
}

}  // namespace tandem::model
