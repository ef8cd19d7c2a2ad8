// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/model/compressor.h"

namespace tandem::model {

Compressor::Compressor(const WeightBinder& weights,
                       const std::string& prefix,
                       int ratio,
                       EntryKind kind)
    : wkv_(weights.matrix(prefix + "wkv")),
      wgate_(weights.matrix(prefix + "wgate")),
      ape_(weights.floats(prefix + "ape")),
      norm_(weights.norm(prefix + "norm.weight")),
      frequencies_(ropeFrequencies(weights.config(), RopeKind::Compressed)),
      ropeDim_(weights.config().qkRopeHeadDim),
      eps_(weights.config().rmsNormEps),
      ratio_(ratio),
      kind_(kind) {}

void Compressor::append(Step& step, kernels::Matrix<const float> x, std::int64_t layer) {
  kv_ = kvRows_.take(x.rows, wkv_.rows);
  score_ = scoreRows_.take(x.rows, wgate_.rows);
  step.operators.linear(kv_, x, wkv_, kernels::ActivationRounding::None);
  step.operators.linear(score_, x, wgate_, kernels::ActivationRounding::None);
  for (std::int64_t r = 0; r < x.rows; ++r) {
    const float* ape = ape_.row(step.positions[static_cast<std::size_t>(r)] % ratio_);
    for (std::int64_t c = 0; c < score_.cols; ++c) {
      score_.row(r)[c] += ape[c];
    }
  }
  for (const RowRange& range : step.ranges) {
    appendRange(step, range, layer);
  }
}

void Compressor::appendRange(Step& step, const RowRange& range, std::int64_t layer) {
  const bool isIndexer = kind_ == EntryKind::Indexer;
  const kvcache::KvCache::RawRings rings = isIndexer
                                               ? step.cache.indexerRings(layer, range.slot)
                                               : step.cache.compressorRings(layer, range.slot);
  const kernels::Matrix<const float> kv = kv_.middleRows(range.first, range.count);
  const kernels::Matrix<const float> score = score_.middleRows(range.first, range.count);
  makeEntries(step,
              range,
              {rings.kv, rings.score, kv, score, range.position},
              isIndexer ? step.cache.indexerKeys(layer, range.blocks)
                        : step.cache.entries(layer, range.blocks));
  step.operators.storeRawRing(rings.kv, range.position, kv);
  step.operators.storeRawRing(rings.score, range.position, score);
}

void Compressor::makeEntries(Step& step,
                             const RowRange& range,
                             const kernels::CompressorRows& rows,
                             const kernels::EntryPages<std::byte>& entries) {
  const std::int64_t first = range.position / ratio_;
  const std::int64_t end = (range.position + range.count) / ratio_;
  if (first == end) {
    return;
  }
  const kernels::Matrix<float> fresh = entryRows_.take(end - first, entries.layout.dim);
  step.operators.compress(fresh, rows, first, ratio_);
  step.operators.rmsNorm(fresh, fresh, norm_, eps_);
  // An entry stands at the position of its window's first token.
  entryPositions_.clear();
  for (std::int64_t entry = first; entry < end; ++entry) {
    entryPositions_.push_back(entry * ratio_);
  }
  step.operators.rope(fresh,
                      fresh.cols,
                      entryPositions_,
                      frequencies_,
                      kernels::RopeDirection::Forward);
  if (step.roundsCaches()) {
    switch (kind_) {
      case EntryKind::KeyValue:
        step.operators.roundKvEntries(fresh, ropeDim_);
        break;
      case EntryKind::Indexer:
        step.operators.roundIndexerEntries(fresh, fresh.cols);
        break;
    }
  }
  step.operators.storeEntries(entries, first, fresh);
}

}  // namespace tandem::model
