// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/model/attention.h"

#include <algorithm>

namespace tandem::model {

Attention::Attention(const WeightBinder& weights,
                     const std::string& prefix,
                     int ratio,
                     std::int64_t layer,
                     int ranks)
    : wqA_(weights.matrix(prefix + "wq_a")),
      wqB_(weights.matrix(prefix + "wq_b")),
      wkv_(weights.matrix(prefix + "wkv")),
      woA_(weights.matrix(prefix + "wo_a")),
      woB_(weights.matrix(prefix + "wo_b")),
      qNorm_(weights.norm(prefix + "q_norm.weight")),
      kvNorm_(weights.norm(prefix + "kv_norm.weight")),
      sinks_(weights.vector(prefix + "attn_sink")),
      frequencies_(
          ropeFrequencies(weights.config(), ratio == 0 ? RopeKind::Window : RopeKind::Compressed)),
      headDim_(weights.config().headDim),
      ropeDim_(weights.config().qkRopeHeadDim),
      window_(weights.config().slidingWindow),
      eps_(weights.config().rmsNormEps),
      localGroups_(static_cast<int>(weights.config().oGroups / ranks)),
      layer_(layer) {
  if (ratio != 0) {
    compressor_.emplace(weights, prefix + "compressor.", ratio, EntryKind::KeyValue);
  }
  if (ratio == 4) {
    indexer_.emplace(weights, prefix + "indexer.", layer);
  }
}

Result<void> Attention::forward(Step& step,
                                kernels::Matrix<float> y,
                                kernels::Matrix<const float> x) {
  kernels::Operators& op = step.operators;
  const std::int64_t rows = step.rows();

  const kernels::Matrix<float> qr = qr_.take(rows, wqA_.rows);
  op.linear(qr, x, wqA_, step.rounding());
  op.rmsNorm(qr, qr, qNorm_, eps_);

  const kernels::Matrix<float> q = q_.take(rows, wqB_.rows);
  op.linear(q, qr, wqB_, step.rounding());
  const kernels::Matrix<float> heads(q.data, rows * (wqB_.rows / headDim_), headDim_);
  op.rmsNorm(heads, heads, {}, eps_);
  op.rope(q, headDim_, step.positions, frequencies_, kernels::RopeDirection::Forward);

  const kernels::Matrix<float> kv = kv_.take(rows, headDim_);
  op.linear(kv, x, wkv_, step.rounding());
  op.rmsNorm(kv, kv, kvNorm_, eps_);
  op.rope(kv, headDim_, step.positions, frequencies_, kernels::RopeDirection::Forward);
  if (step.roundsCaches()) {
    op.roundKvEntries(kv, ropeDim_);
  }
  // Before attending: an entry that a token completes is visible to that token.
  if (compressor_) {
    compressor_->append(step, x, layer_);
  }
  if (indexer_) {
    indexer_->choose(step, x, qr);
  }

  const kernels::Matrix<float> o = o_.take(rows, wqB_.rows);
  attend(step, o, q, kv);
  op.rope(o, headDim_, step.positions, frequencies_, kernels::RopeDirection::Inverse);

  const kernels::Matrix<float> u = u_.take(rows, woA_.rows);
  op.groupedLinear(u, o, woA_, localGroups_);
  op.linear(y, u, woB_, step.rounding());
  return step.communicator.allReduceSum({y.data, static_cast<std::size_t>(rows * y.cols)});
}

void Attention::attend(Step& step,
                       kernels::Matrix<float> o,
                       kernels::Matrix<const float> q,
                       kernels::Matrix<const float> kv) {
  visible_.assign(static_cast<std::size_t>(step.rows()), 0);
  if (compressor_) {
    for (std::size_t r = 0; r < visible_.size(); ++r) {
      visible_[r] = static_cast<std::int32_t>((step.positions[r] + 1) / compressor_->ratio());
    }
  }
  for (const RowRange& range : step.ranges) {
    const auto first = static_cast<std::size_t>(range.first);
    const auto count = static_cast<std::size_t>(range.count);
    const kernels::EntryRing<std::byte> ring = step.cache.window(layer_, range.slot);
    const kernels::Matrix<const float> fresh = kv.middleRows(range.first, range.count);
    kernels::AttentionKeys keys;
    keys.window = {ring, fresh, range.position};
    keys.windowTokens = window_;
    if (compressor_) {
      keys.entries = step.cache.entries(layer_, range.blocks);
      keys.entryCount = std::span(visible_).subspan(first, count);
    }
    if (indexer_) {
      keys.chosen = indexer_->chosen().middleRows(range.first, range.count);
      keys.entryCount = indexer_->counts().subspan(first, count);
    }
    step.operators.sparseAttention(o.middleRows(range.first, range.count),
                                   q.middleRows(range.first, range.count),
                                   keys,
                                   step.positions.subspan(first, count),
                                   sinks_);
    // After everybody has read it: the fresh rows take the place of the oldest.
    step.operators.storeRing(ring, range.position, fresh);
  }
  if (step.trace != nullptr && indexer_) {
    const kernels::Matrix<const std::int32_t> chosen = indexer_->chosen();
    step.trace->entries.assign(chosen.data, chosen.data + chosen.rows * chosen.cols);
    step.trace->entryCounts.assign(indexer_->counts().begin(), indexer_->counts().end());
  }
}

}  // namespace tandem::model
