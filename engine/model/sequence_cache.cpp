// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/model/sequence_cache.h"

namespace tandem::model {

namespace {

CompressorCache makeCompressorCache(int ratio, std::int64_t dim, std::int64_t stepTokens) {
  // Ratio 4 pools the previous window too, so a window completes from rows up to 2 * 4 - 1 back.
  const bool overlaps = ratio == 4;
  CompressorCache cache;
  cache.capacity = stepTokens + ratio * (overlaps ? 2 : 1);
  cache.width = overlaps ? 2 * dim : dim;
  cache.dim = dim;
  cache.kv.resize(static_cast<std::size_t>(cache.capacity * cache.width));
  cache.score.resize(cache.kv.size());
  return cache;
}

std::uint64_t bytesOf(const CompressorCache& cache) {
  return (cache.kv.size() + cache.score.size() + cache.entries.capacity()) * sizeof(float);
}

}  // namespace

kernels::Matrix<float> CompressorCache::kvRing() {
  return {kv.data(), capacity, width};
}

kernels::Matrix<float> CompressorCache::scoreRing() {
  return {score.data(), capacity, width};
}

kernels::Matrix<float> CompressorCache::entryRows() {
  return {entries.data(), dim == 0 ? 0 : static_cast<std::int64_t>(entries.size()) / dim, dim};
}

kernels::Matrix<float> LayerCache::windowRing() {
  return {window.data(), capacity, dim};
}

SequenceCache::SequenceCache(const ModelConfig& config,
                             std::int64_t mtpModules,
                             std::int64_t maxTokens,
                             std::int64_t maxStepTokens)
    : maxTokens_(maxTokens) {
  for (std::int64_t i = 0; i < config.numHiddenLayers + mtpModules; ++i) {
    LayerCache cache;
    cache.capacity = config.slidingWindow + maxStepTokens;
    cache.dim = config.headDim;
    cache.window.resize(static_cast<std::size_t>(cache.capacity * cache.dim));
    const int ratio = i < config.numHiddenLayers ? config.compressRatio(i) : 0;
    if (ratio != 0) {
      cache.compressor = makeCompressorCache(ratio, config.headDim, maxStepTokens);
    }
    if (ratio == 4) {
      cache.indexerCompressor = makeCompressorCache(ratio, config.indexHeadDim, maxStepTokens);
    }
    layers_.push_back(std::move(cache));
  }
}

std::uint64_t SequenceCache::bytes() const {
  std::uint64_t total = 0;
  for (const LayerCache& cache : layers_) {
    total += cache.window.size() * sizeof(float) + bytesOf(cache.compressor) +
             bytesOf(cache.indexerCompressor);
  }
  return total;
}

}  // namespace tandem::model
