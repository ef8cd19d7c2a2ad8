// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/unit/engine/kernels/attention_golden.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

namespace tandem::tests {

using kernels::kFloatRoundoff;
using kernels::sumError;

std::vector<const float*> AttentionInputs::keysOf(std::int64_t row) const {
  std::vector<const float*> keys;
  const auto at = static_cast<std::size_t>(row);
  const std::int64_t last = positions[at];
  for (std::int64_t p = std::max<std::int64_t>(0, last - windowTokens + 1); p <= last; ++p) {
    keys.push_back(window.view().row(p % window.rows()));
  }
  const std::int64_t topk = static_cast<std::int64_t>(chosen.size()) / q.rows();
  for (std::int32_t i = 0; !entryCount.empty() && i < entryCount[at]; ++i) {
    keys.push_back(
        entries.view().row(topk > 0 ? chosen[static_cast<std::size_t>(row * topk + i)] : i));
  }
  return keys;
}

void AttentionInputs::run(Operators& operators, std::int64_t first, Matrix<float> out) const {
  kernels::AttentionKeys keys;
  keys.window.ring = kernels::floatRing(window.view());
  keys.windowTokens = windowTokens;
  const auto from = static_cast<std::size_t>(first);
  const auto count = static_cast<std::size_t>(out.rows);
  if (!entryCount.empty()) {
    keys.entries = kernels::floatEntries(entries.view());
    keys.entryCount = std::span(entryCount).subspan(from, count);
  }
  if (!chosen.empty()) {
    const std::int64_t topk = static_cast<std::int64_t>(chosen.size()) / q.rows();
    keys.chosen = {chosen.data() + first * topk, out.rows, topk};
  }
  operators.sparseAttention(out,
                            q.middleRows(first, out.rows),
                            keys,
                            std::span(positions).subspan(from, count),
                            sinks);
}

Table attentionBounds(const AttentionInputs& inputs, const Table& answer) {
  Table bounds{{}, answer.cols};
  const std::int64_t dim = inputs.window.cols;
  const double scale = 1 / std::sqrt(static_cast<double>(dim));
  for (std::int64_t r = 0; r < answer.rows(); ++r) {
    const std::vector<const float*> keys = inputs.keysOf(r);
    for (std::size_t h = 0; h < inputs.sinks.size(); ++h) {
      const float* q = inputs.q.view().row(r) + static_cast<std::int64_t>(h) * dim;
      double total = std::exp(static_cast<double>(inputs.sinks[h]));
      double logitError = 0;
      std::vector<double> mean(static_cast<std::size_t>(dim));
      for (const float* key : keys) {
        double logit = 0;
        double magnitude = 0;
        for (std::int64_t c = 0; c < dim; ++c) {
          const double term = static_cast<double>(q[c]) * static_cast<double>(key[c]) * scale;
          logit += term;
          magnitude += std::fabs(term);
        }
        logitError = std::max(logitError, 2 * (sumError(dim) + 4 * kFloatRoundoff) * magnitude);
        const double weight = std::exp(logit);
        total += weight;
        for (std::int64_t c = 0; c < dim; ++c) {
          mean[static_cast<std::size_t>(c)] += weight * std::fabs(static_cast<double>(key[c]));
        }
      }
      const auto count = static_cast<std::int64_t>(keys.size());
      const double share = kBf16Roundoff + 2 * logitError + 2 * sumError(count);
      for (std::int64_t c = 0; c < dim; ++c) {
        const double output = std::fabs(
            static_cast<double>(answer.view().row(r)[static_cast<std::int64_t>(h) * dim + c]));
        bounds.values.push_back(static_cast<float>(
            share * mean[static_cast<std::size_t>(c)] / total + kBf16Roundoff * output));
      }
    }
  }
  return bounds;
}

OperatorCase attentionGolden(std::string name,
                             const std::shared_ptr<const AttentionInputs>& inputs,
                             Table answer) {
  Table bounds = attentionBounds(*inputs, answer);
  return goldenCase(
      OperatorId::SparseAttention,
      std::move(name),
      std::move(answer),
      [inputs](Operators& operators, std::int64_t first, Matrix<float> out) {
        inputs->run(operators, first, out);
      },
      within(std::move(bounds)));
}

Table choicesByScore(const Table& scores, const std::vector<std::int32_t>& visible) {
  Table made{{}, scores.cols * (scores.cols + 1) / 2};
  for (std::int64_t r = 0; r < scores.rows(); ++r) {
    std::vector<std::int32_t> order(static_cast<std::size_t>(visible[static_cast<std::size_t>(r)]));
    std::iota(order.begin(), order.end(), 0);
    const float* row = scores.view().row(r);
    std::stable_sort(order.begin(), order.end(), [row](std::int32_t a, std::int32_t b) {
      return row[a] > row[b];
    });
    for (std::int64_t k = 1; k <= scores.cols; ++k) {
      const auto used = std::min<std::int64_t>(k, static_cast<std::int64_t>(order.size()));
      std::vector<std::int32_t> best(order.begin(), order.begin() + used);
      std::sort(best.begin(), best.end());
      best.resize(static_cast<std::size_t>(k), -1);
      made.values.insert(made.values.end(), best.begin(), best.end());
    }
  }
  return made;
}

void runChoices(Operators& operators,
                Matrix<float> out,
                Matrix<const float> q,
                Matrix<const float> headWeights,
                Matrix<const float> keys,
                std::span<const std::int32_t> visible) {
  std::int64_t column = 0;
  for (std::int64_t k = 1; k <= keys.rows; ++k) {
    std::vector<std::int32_t> chosen(static_cast<std::size_t>(out.rows * k), -1);
    std::vector<std::int32_t> count(static_cast<std::size_t>(out.rows));
    operators.indexerTopK({chosen.data(), out.rows, k},
                          count,
                          q,
                          headWeights,
                          kernels::floatEntries(keys),
                          visible);
    for (std::int64_t r = 0; r < out.rows; ++r) {
      for (std::int64_t j = 0; j < k; ++j) {
        const bool counts = j < count[static_cast<std::size_t>(r)];
        out.row(r)[column + j] =
            counts ? static_cast<float>(chosen[static_cast<std::size_t>(r * k + j)]) : -1.F;
      }
    }
    column += k;
  }
}

}  // namespace tandem::tests
