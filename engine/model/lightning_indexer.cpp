// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/model/lightning_indexer.h"

#include <cmath>

namespace tandem::model {

LightningIndexer::LightningIndexer(const WeightBinder& weights,
                                   const std::string& prefix,
                                   std::int64_t layer)
    : wqB_(weights.matrix(prefix + "wq_b")),
      weightsProj_(weights.matrix(prefix + "weights_proj")),
      compressor_(weights, prefix + "compressor.", 4, EntryKind::Indexer),
      frequencies_(ropeFrequencies(weights.config(), RopeKind::Compressed)),
      heads_(weights.config().indexNHeads),
      headDim_(weights.config().indexHeadDim),
      topk_(weights.config().indexTopk),
      layer_(layer) {}

void LightningIndexer::choose(Step& step,
                              kernels::Matrix<const float> x,
                              kernels::Matrix<const float> qr) {
  const std::int64_t rows = step.rows();
  const kernels::Matrix<float> q = q_.take(rows, heads_ * headDim_);
  step.operators.linear(q, qr, wqB_, step.rounding());
  step.operators.rope(q, headDim_, step.positions, frequencies_, kernels::RopeDirection::Forward);
  if (step.roundsCaches()) {
    step.operators.roundIndexerEntries(q, headDim_);
  }
  compressor_.append(step, x, layer_);

  const kernels::Matrix<float> headWeights = headWeights_.take(rows, heads_);
  step.operators.linear(headWeights, x, weightsProj_, kernels::ActivationRounding::None);
  const float scale = 1.F / std::sqrt(static_cast<float>(headDim_ * heads_));
  for (std::int64_t r = 0; r < rows; ++r) {
    for (float& weight : headWeights.rowSpan(r)) {
      weight *= scale;
    }
  }

  chosen_.resize(static_cast<std::size_t>(rows * topk_));
  counts_.resize(static_cast<std::size_t>(rows));
  visible_.resize(static_cast<std::size_t>(rows));
  for (std::size_t r = 0; r < visible_.size(); ++r) {
    visible_[r] = static_cast<std::int32_t>((step.positions[r] + 1) / compressor_.ratio());
  }
  const kernels::Matrix<std::int32_t> chosen(chosen_.data(), rows, topk_);
  for (const RowRange& range : step.ranges) {
    const auto first = static_cast<std::size_t>(range.first);
    const auto count = static_cast<std::size_t>(range.count);
    step.operators.indexerTopK(chosen.middleRows(range.first, range.count),
                               std::span(counts_).subspan(first, count),
                               q.middleRows(range.first, range.count),
                               headWeights.middleRows(range.first, range.count),
                               step.cache.indexerKeys(layer_, range.blocks),
                               std::span(visible_).subspan(first, count));
  }
}

kernels::Matrix<const std::int32_t> LightningIndexer::chosen() const {
  return {chosen_.data(), static_cast<std::int64_t>(counts_.size()), topk_};
}

}  // namespace tandem::model
