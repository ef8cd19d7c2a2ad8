// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/runtime/step_cost_model.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

namespace tandem::runtime {

namespace {

constexpr double kContextUnit = 1e6;

// How wrong a prior coefficient may be: a processor's proportions are not a GPU's.
constexpr double kPriorDoubt = 8;
// Steps of one shape differ by about so much: other programs, the clock, the network.
constexpr double kNoise = 0.05;
// So much of itself may a coefficient drift in a step.
constexpr double kDrift = 0.004;
// A surprise is this many standard deviations off; it counts as one that is just so far off.
constexpr double kSurprise = 3;
// After so many surprises to the same side it is the world that has changed.
constexpr int kSurprisesToBelieve = 4;

constexpr std::size_t kExpertsFeature = 2;

}  // namespace

StepCostModel::StepCostModel(const StepCostPrior& prior)
    : expertRows_(prior.expertRows),
      coefficients_{prior.step,
                    prior.row,
                    prior.experts,
                    prior.draftRow,
                    prior.draftDepth,
                    prior.context} {
  for (std::size_t i = 0; i < kFeatures; ++i) {
    widest_[i] = kPriorDoubt * coefficients_[i];
    covariance_[i][i] = widest_[i] * widest_[i];
  }
  // The only one that a processor does not have at all, and that no other can be mistaken for.
  widest_[kExpertsFeature] = coefficients_[kExpertsFeature];
  covariance_[kExpertsFeature][kExpertsFeature] =
      widest_[kExpertsFeature] * widest_[kExpertsFeature];
}

StepCostModel::Features StepCostModel::featuresOf(const StepShape& shape) const {
  const auto rows = static_cast<double>(shape.rows());
  return {1,
          rows,
          -std::expm1(-rows / expertRows_),
          static_cast<double>(shape.draftRows),
          static_cast<double>(shape.draftDepth),
          static_cast<double>(shape.contextTokens) / kContextUnit};
}

double StepCostModel::predictMilliseconds(const StepShape& shape) const {
  const Features features = featuresOf(shape);
  double sum = 0;
  for (std::size_t i = 0; i < kFeatures; ++i) {
    sum += coefficients_[i] * features[i];
  }
  return sum;
}

std::chrono::nanoseconds StepCostModel::predict(const StepShape& shape) const {
  return std::chrono::nanoseconds(std::llround(predictMilliseconds(shape) * 1e6));
}

std::chrono::nanoseconds StepCostModel::predict(int decodeRows, std::int64_t prefillTokens) const {
  StepShape shape;
  shape.decodeRows = decodeRows;
  shape.prefillTokens = prefillTokens;
  return predict(shape);
}

void StepCostModel::rescale(double factor) {
  for (std::size_t i = 0; i < kFeatures; ++i) {
    coefficients_[i] *= factor;
    widest_[i] *= factor;
    for (double& value : covariance_[i]) {
      value *= factor * factor;
    }
  }
}

void StepCostModel::observe(const StepShape& shape, std::chrono::nanoseconds duration) {
  if (shape.rows() <= 0 || duration.count() <= 0) {
    return;
  }
  const double measured = std::chrono::duration<double, std::milli>(duration).count();
  if (observations_++ == 0) {
    rescale(measured / predictMilliseconds(shape));
  }
  const Features features = featuresOf(shape);

  // The doubt grows while nothing is learned about a coefficient, up to what it was at first.
  for (std::size_t i = 0; i < kFeatures; ++i) {
    const double drift = kDrift * coefficients_[i];
    covariance_[i][i] = std::min(covariance_[i][i] + drift * drift, widest_[i] * widest_[i]);
  }
  Features spread{};  // covariance * features
  double doubt = 0;   // variance of the prediction
  double expected = 0;
  for (std::size_t i = 0; i < kFeatures; ++i) {
    for (std::size_t j = 0; j < kFeatures; ++j) {
      spread[i] += covariance_[i][j] * features[j];
    }
    doubt += features[i] * spread[i];
    expected += features[i] * coefficients_[i];
  }
  const double noise = kNoise * std::max(expected, 1e-6);
  const double variance = std::max(doubt, 0.0) + noise * noise;
  double error = measured - expected;
  const double most = kSurprise * std::sqrt(variance);
  if (std::abs(error) > most) {
    const int side = error > 0 ? 1 : -1;
    surprises_ = surprises_ * side > 0 ? surprises_ + side : side;
    if (std::abs(surprises_) >= kSurprisesToBelieve) {
      // Everything became slower or faster: a clock, a second program. Keep the proportions, and
      // doubt them.
      surprises_ = 0;
      rescale(std::clamp(measured / std::max(expected, 1e-6), 0.25, 4.0));
      for (std::size_t i = 0; i < kFeatures; ++i) {
        covariance_[i].fill(0);
        covariance_[i][i] = widest_[i] * widest_[i] / 4;
      }
      return;
    }
    error = std::copysign(most, error);
  } else {
    surprises_ = 0;
  }
  for (std::size_t i = 0; i < kFeatures; ++i) {
    coefficients_[i] += spread[i] * error / variance;
  }
  for (std::size_t i = 0; i < kFeatures; ++i) {
    for (std::size_t j = 0; j < kFeatures; ++j) {
      covariance_[i][j] -= spread[i] * spread[j] / variance;
    }
    covariance_[i][i] = std::max(covariance_[i][i], 0.0);
  }
  keepPositive();
}

void StepCostModel::keepPositive() {
  // A negative coefficient would make more work cheaper. The likeliest others, given that this one
  // is 0, follow from the covariance.
  for (std::size_t i = 0; i < kFeatures; ++i) {
    if (coefficients_[i] >= 0) {
      continue;
    }
    if (covariance_[i][i] > 0) {
      const double push = -coefficients_[i] / covariance_[i][i];
      for (std::size_t j = 0; j < kFeatures; ++j) {
        coefficients_[j] += push * covariance_[j][i];
      }
    }
    coefficients_[i] = 0;
  }
  for (double& coefficient : coefficients_) {
    coefficient = std::max(coefficient, 0.0);
  }
}

}  // namespace tandem::runtime
