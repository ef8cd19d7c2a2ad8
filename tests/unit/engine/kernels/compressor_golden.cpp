// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/unit/engine/kernels/compressor_golden.h"

#include <algorithm>
#include <cmath>

#include "engine/kernels/reference/reference_operators.h"
#include "engine/model/rope.h"

namespace tandem::tests {

using kernels::kFloatRoundoff;
using kernels::sumError;

std::vector<double> frequencies(RopeTable table) {
  model::ModelConfig config;
  config.qkRopeHeadDim = 64;
  config.ropeTheta = 10000;
  config.compressRopeTheta = 160000;
  config.ropeScaling = model::RopeScaling{16, 65536, 32, 1};
  return model::ropeFrequencies(
      config,
      table == RopeTable::Window ? model::RopeKind::Window : model::RopeKind::Compressed);
}

void CompressorInputs::pool(Operators& operators,
                            const Table& x,
                            std::int64_t first,
                            Matrix<float> out) const {
  const auto size = static_cast<std::size_t>(x.rows() * wkv.rows);
  Table kv{std::vector<float>(size), wkv.rows};
  Table score{std::vector<float>(size), wkv.rows};
  operators.linear(kv.view(), x.view(), wkv.view(), kernels::ActivationRounding::None);
  operators.linear(score.view(), x.view(), wgate.view(), kernels::ActivationRounding::None);
  for (std::int64_t t = 0; t < x.rows(); ++t) {
    for (std::int64_t c = 0; c < score.cols; ++c) {
      score.view().row(t)[c] += ape.view().row(t % ratio)[c];
    }
  }
  operators.compress(out, {.kv = kv.view(), .score = score.view()}, first, ratio);
}

void CompressorInputs::entries(Operators& operators,
                               const Table& x,
                               std::int64_t first,
                               Matrix<float> out) const {
  pool(operators, x, first, out);
  operators.rmsNorm(out, out, norm, 1e-6F);
  rotateByTables(operators, out, dim, cosines, sines, first, kernels::RopeDirection::Forward);
}

Table CompressorInputs::pooledBounds(const Table& x) const {
  const Table magnitudes = productMagnitudes(x, wkv.view());
  const Table scores = productMagnitudes(x, wgate.view());
  kernels::ReferenceOperators reference;
  Table kv{std::vector<float>(magnitudes.values.size()), wkv.rows};
  reference.linear(kv.view(), x.view(), wkv.view(), kernels::ActivationRounding::None);
  const double projection = 2 * sumError(wkv.cols);
  const bool overlaps = wkv.rows == 2 * dim;
  Table bounds{{}, dim};
  for (std::int64_t entry = 0; entry < x.rows() / ratio; ++entry) {
    for (std::int64_t c = 0; c < dim; ++c) {
      double error = 0;
      double value = 0;
      double logit = 0;
      const auto add = [&](std::int64_t t, std::int64_t column) {
        const auto at = [t, column](const Table& table) {
          return std::fabs(static_cast<double>(table.view().row(t)[column]));
        };
        error = std::max(error, projection * at(magnitudes));
        value = std::max(value, at(kv));
        logit = std::max(logit,
                         projection * at(scores) +
                             2 * kFloatRoundoff *
                                 std::fabs(static_cast<double>(ape.view().row(t % ratio)[column])));
      };
      for (std::int64_t t = entry * ratio; t < (entry + 1) * ratio; ++t) {
        add(t, overlaps ? dim + c : c);
        if (overlaps && entry > 0) {
          add(t - ratio, c);
        }
      }
      // A weighted mean: the values' own error, and weights off by twice the logits' error.
      bounds.values.push_back(
          static_cast<float>(error + value * (2 * logit + 2 * (2 * ratio + 8) * kFloatRoundoff)));
    }
  }
  return bounds;
}

Table CompressorInputs::entryBounds(const Table& x) const {
  const Table pooled = pooledBounds(x);
  kernels::ReferenceOperators reference;
  Table values{std::vector<float>(pooled.values.size()), dim};
  pool(reference, x, 0, values.view());
  const std::int64_t rotated = 2 * cosines.cols;
  Table bounds{{}, dim};
  for (std::int64_t r = 0; r < pooled.rows(); ++r) {
    double squares = 0;
    double squareErrors = 0;
    for (std::int64_t c = 0; c < dim; ++c) {
      const double value = std::fabs(static_cast<double>(values.view().row(r)[c]));
      squares += value * value;
      squareErrors += value * static_cast<double>(pooled.view().row(r)[c]);
    }
    const double root = std::sqrt(squares / static_cast<double>(dim) + 1e-6);
    const double relative = squareErrors / squares + sumError(dim) + 12 * kFloatRoundoff;
    std::vector<double> normed;
    for (std::int64_t c = 0; c < dim; ++c) {
      const double weight = std::fabs(static_cast<double>(norm[static_cast<std::size_t>(c)]));
      const double value = std::fabs(static_cast<double>(values.view().row(r)[c]));
      normed.push_back((static_cast<double>(pooled.view().row(r)[c]) + relative * value) * weight /
                       root);
      // What the rotation adds of its own: two products and a sum, with rounded tables.
      normed.back() += 8 * kFloatRoundoff * value * weight / root;
    }
    for (std::int64_t c = dim - rotated; c < dim; c += 2) {
      const auto pair = static_cast<std::size_t>(c);
      const double both = normed[pair] + normed[pair + 1];
      normed[pair] = both;
      normed[pair + 1] = both;
    }
    for (const double bound : normed) {
      bounds.values.push_back(static_cast<float>(bound));
    }
  }
  return bounds;
}

}  // namespace tandem::tests
