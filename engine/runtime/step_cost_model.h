// SPDX-License-Identifier: GPL-3.0-or-later
// What a step will take, learned from the steps before it.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace tandem::runtime {

/// What one forward pass computes, as far as its time depends on it.
struct StepShape {
  int decodeRows = 0;              // one for each decoding sequence
  int draftRows = 0;               // drafted and verified beside them, of all sequences
  int draftDepth = 0;              // the most drafts of one sequence: so often the drafter runs
  std::int64_t prefillTokens = 0;  // rows of prompts
  std::int64_t contextTokens = 0;  // for every row the tokens before it, summed

  [[nodiscard]] std::int64_t rows() const { return decodeRows + draftRows + prefillTokens; }

  friend bool operator==(const StepShape&, const StepShape&) = default;
};

/// What is assumed before anything was measured. Only the proportions matter: the first measured
/// step sets the scale. Milliseconds.
struct StepCostPrior {
  double step = 20;         // whatever the step holds
  double row = 0.35;        // arithmetic of one row
  double experts = 290;     // reading all routed experts of all layers
  double draftRow = 0.1;    // drafting one token, beside its row in the verification
  double draftDepth = 2.5;  // running the drafter once
  double context = 4;       // attending to a million tokens

  /// Rows after which 63 % of the experts have been read: experts / experts per token.
  double expertRows = 256.0 / 6.0;
};

/// A linear model of the step's duration with features that grow as its costs do: constant, with
/// rows, with the share of experts that so many rows touch, with drafts, with context. A Kalman
/// filter keeps the coefficients: they may drift, an outlier moves them little, several in a row
/// make it learn anew. The same observations give the same model: there is no clock in it.
///
/// Monotone in everything, so that a largest chunk can be found by bisection. Engine thread.
class StepCostModel {
 public:
  explicit StepCostModel(const StepCostPrior& prior = {});

  /// A step of this shape took so long. Ignores empty shapes and durations that are not positive.
  void observe(const StepShape& shape, std::chrono::nanoseconds duration);

  [[nodiscard]] std::chrono::nanoseconds predict(const StepShape& shape) const;
  [[nodiscard]] std::chrono::nanoseconds predict(int decodeRows, std::int64_t prefillTokens) const;

  /// Milliseconds; for loops that ask often.
  [[nodiscard]] double predictMilliseconds(const StepShape& shape) const;

  [[nodiscard]] std::int64_t observations() const { return observations_; }

 private:
  static constexpr std::size_t kFeatures = 6;
  using Features = std::array<double, kFeatures>;

  [[nodiscard]] Features featuresOf(const StepShape& shape) const;
  void rescale(double factor);
  void keepPositive();

  double expertRows_;
  Features coefficients_{};  // milliseconds per feature, never negative
  Features widest_{};        // standard deviation that no coefficient's doubt exceeds
  std::array<Features, kFeatures> covariance_{};
  std::int64_t observations_ = 0;
  int surprises_ = 0;  // outliers in a row, signed
};

}  // namespace tandem::runtime
