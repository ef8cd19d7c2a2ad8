// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/model/compressor.h"

#include <algorithm>

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

void Compressor::append(Step& step,
                        kernels::Matrix<const float> x,
                        CompressorCache& (*cacheOf)(LayerCache& layer),
                        std::int64_t layer) {
  kv_ = kvRows_.take(x.rows, wkv_.rows);
  score_ = scoreRows_.take(x.rows, wgate_.rows);
  step.operators.linear(kv_, x, wkv_, kernels::ActivationRounding::None);
  step.operators.linear(score_, x, wgate_, kernels::ActivationRounding::None);
  for (const RowRange& range : step.ranges) {
    appendRange(step, range, cacheOf(range.cache->layer(layer)));
  }
}

void Compressor::appendRange(Step& step, const RowRange& range, CompressorCache& cache) {
  const kernels::Matrix<float> kvRing = cache.kvRing();
  const kernels::Matrix<float> scoreRing = cache.scoreRing();
  for (std::int64_t i = 0; i < range.count; ++i) {
    const std::int64_t position = range.position + i;
    const float* ape = ape_.row(position % ratio_);
    std::copy_n(kv_.row(range.first + i), cache.width, kvRing.row(position % cache.capacity));
    float* score = scoreRing.row(position % cache.capacity);
    for (std::int64_t c = 0; c < cache.width; ++c) {
      score[c] = score_.row(range.first + i)[c] + ape[c];
    }
  }

  const std::int64_t first = range.position / ratio_;
  const std::int64_t end = (range.position + range.count) / ratio_;
  cache.entries.resize(static_cast<std::size_t>(end * cache.dim));
  if (first == end) {
    return;
  }
  const kernels::Matrix<float> fresh = cache.entryRows().middleRows(first, end - first);
  step.operators.compress(fresh, {kvRing, scoreRing}, first, ratio_);
  step.operators.rmsNorm(fresh, fresh, norm_, eps_);
  // An entry stands at the position of its window's first token.
  entryPositions_.clear();
  for (std::int64_t entry = first; entry < end; ++entry) {
    entryPositions_.push_back(entry * ratio_);
  }
  step.operators.rope(fresh,
                      cache.dim,
                      entryPositions_,
                      frequencies_,
                      kernels::RopeDirection::Forward);
  if (!step.roundsCaches()) {
    return;
  }
  switch (kind_) {
    case EntryKind::KeyValue:
      step.operators.roundKvEntries(fresh, ropeDim_);
      return;
    case EntryKind::Indexer:
      step.operators.roundIndexerEntries(fresh, cache.dim);
      return;
  }
}

}  // namespace tandem::model
