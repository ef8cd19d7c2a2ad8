// SPDX-License-Identifier: GPL-3.0-or-later
// Reference of the attention core, and of the choices that feed it: indexer and router.
#include <algorithm>
#include <cmath>
#include <vector>

#include "engine/kernels/entry_codec.h"
#include "engine/kernels/reference/reference_operators.h"
#include "engine/kernels/top_k.h"
#include "engine/kernels/unpacked_keys.h"

namespace tandem::kernels {

void ReferenceOperators::indexerTopK(Matrix<std::int32_t> chosen,
                                     std::span<std::int32_t> count,
                                     Matrix<const float> q,
                                     Matrix<const float> headWeights,
                                     const EntryPages<const std::byte>& keys,
                                     std::span<const std::int32_t> visible) {
  std::vector<float> key(static_cast<std::size_t>(keys.layout.dim));
  std::vector<float> scores;
  std::vector<std::int32_t> order;
  for (std::int64_t r = 0; r < q.rows; ++r) {
    const auto row = static_cast<std::size_t>(r);
    scores.assign(static_cast<std::size_t>(visible[row]), 0.F);
    for (std::size_t s = 0; s < scores.size(); ++s) {
      unpackEntry(keys.layout, key.data(), keys.entry(static_cast<std::int64_t>(s)));
      double score = 0;
      for (std::int64_t h = 0; h < headWeights.cols; ++h) {
        const double product =
            innerProduct(q.row(r) + h * keys.layout.dim, key.data(), keys.layout.dim);
        score += static_cast<double>(headWeights.row(r)[h]) * std::max(product, 0.0);
      }
      scores[s] = static_cast<float>(score);
    }
    count[row] = static_cast<std::int32_t>(std::min<std::int64_t>(chosen.cols, visible[row]));
    selectTopK({chosen.row(r), static_cast<std::size_t>(count[row])}, scores, order);
  }
}

void ReferenceOperators::sparseAttention(Matrix<float> out,
                                         Matrix<const float> q,
                                         const AttentionKeys& keys,
                                         std::span<const std::int64_t> positions,
                                         std::span<const float> sinks) {
  UnpackedKeys unpacked;
  unpacked.unpack(keys, positions);
  const std::int64_t dim = unpacked.dim();
  const double scale = 1.0 / std::sqrt(static_cast<double>(dim));
  std::vector<const float*> rows;
  std::vector<double> logits;
  std::vector<double> sum(static_cast<std::size_t>(dim));
  for (std::int64_t r = 0; r < q.rows; ++r) {
    unpacked.rowsOf(rows, r);
    for (std::size_t h = 0; h < sinks.size(); ++h) {
      const std::int64_t offset = static_cast<std::int64_t>(h) * dim;
      logits.clear();
      auto largest = static_cast<double>(sinks[h]);
      for (const float* key : rows) {
        logits.push_back(innerProduct(q.row(r) + offset, key, dim) * scale);
        largest = std::max(largest, logits.back());
      }
      double total = std::exp(static_cast<double>(sinks[h]) - largest);
      std::fill(sum.begin(), sum.end(), 0.0);
      for (std::size_t s = 0; s < rows.size(); ++s) {
        const double weight = std::exp(logits[s] - largest);
        total += weight;
        for (std::int64_t c = 0; c < dim; ++c) {
          sum[static_cast<std::size_t>(c)] += weight * static_cast<double>(rows[s][c]);
        }
      }
      for (std::int64_t c = 0; c < dim; ++c) {
        out.row(r)[offset + c] = static_cast<float>(sum[static_cast<std::size_t>(c)] / total);
      }
    }
  }
}

void ReferenceOperators::route(Matrix<std::int32_t> picks,
                               Matrix<float> weights,
                               Matrix<const float> x,
                               std::span<const TokenId> tokens,
                               const RouterWeights& router) {
  // Above this softplus(z) is z to the last bit of a float.
  constexpr float kLinearFrom = 20.F;
  const std::int64_t experts = router.gate.rows;
  std::vector<float> scores(static_cast<std::size_t>(experts));
  std::vector<float> biased(scores.size());
  std::vector<std::int32_t> order;
  for (std::int64_t r = 0; r < x.rows; ++r) {
    linear({scores.data(), 1, experts}, x.middleRows(r, 1), router.gate, ActivationRounding::None);
    for (float& score : scores) {
      score = std::sqrt(score > kLinearFrom ? score : std::log1p(std::exp(score)));
    }
    const std::span<std::int32_t> chosen = picks.rowSpan(r);
    if (router.hashTable.rows > 0) {
      const std::span<const std::int32_t> listed =
          router.hashTable.rowSpan(tokens[static_cast<std::size_t>(r)]);
      std::copy(listed.begin(), listed.end(), chosen.begin());
    } else {
      for (std::size_t e = 0; e < scores.size(); ++e) {
        biased[e] = scores[e] + router.bias[e];
      }
      selectTopK(chosen, biased, order);
    }
    double total = 0;
    for (const std::int32_t e : chosen) {
      total += static_cast<double>(scores[static_cast<std::size_t>(e)]);
    }
    for (std::int64_t j = 0; j < picks.cols; ++j) {
      const float score = scores[static_cast<std::size_t>(chosen[static_cast<std::size_t>(j)])];
      weights.row(r)[j] = static_cast<float>(static_cast<double>(score) / total *
                                             static_cast<double>(router.scale));
    }
  }
}

}  // namespace tandem::kernels
