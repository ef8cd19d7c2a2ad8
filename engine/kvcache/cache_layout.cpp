// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/kvcache/cache_layout.h"

namespace tandem::kvcache {

namespace {

/// Ratio 4 pools the window before too.
constexpr int kOverlappingRatio = 4;

std::size_t bytesOf(std::int64_t count, std::int64_t size) {
  return static_cast<std::size_t>(count * size);
}

/// Takes `bytes` from the end of a region of `size` bytes and says where they begin.
std::size_t place(std::size_t& size, std::size_t bytes) {
  const std::size_t offset = size;
  size += (bytes + CacheLayout::kAlignment - 1) / CacheLayout::kAlignment * CacheLayout::kAlignment;
  return offset;
}

}  // namespace

CacheLayout::CacheLayout(const CacheShape& shape)
    : shape_(shape),
      windowCapacity_(shape.windowTokens + shape.maxDrafts) {
  for (const int ratio : shape_.ratios) {
    LayerPlace layer;
    layer.ratio = ratio;
    layer.window = place(slotBytes_, bytesOf(windowCapacity_, shape_.entry.bytes()));
    layer.keptWindow = place(snapshotBytes_, bytesOf(shape_.windowTokens, shape_.entry.bytes()));
    if (ratio != 0) {
      layer.entriesPerBlock = kBlockTokens / ratio;
      layer.entries = place(blockBytes_, bytesOf(layer.entriesPerBlock, shape_.entry.bytes()));
      layer.compressor = placeCompressor(ratio, shape_.entry.dim);
    }
    if (ratio == kOverlappingRatio) {
      layer.indexerKeys =
          place(blockBytes_, bytesOf(layer.entriesPerBlock, shape_.indexerKey.bytes()));
      layer.indexerCompressor = placeCompressor(ratio, shape_.indexerKey.dim);
    }
    layers_.push_back(layer);
  }
  carriedStreams_ = place(slotBytes_, bytesOf(carriedRows() * shape_.streamWidth, sizeof(float)));
  keptStream_ = place(snapshotBytes_, bytesOf(shape_.streamWidth, sizeof(float)));
}

CompressorPlace CacheLayout::placeCompressor(int ratio, std::int64_t dim) {
  const bool overlaps = ratio == kOverlappingRatio;
  CompressorPlace where;
  where.width = overlaps ? 2 * dim : dim;
  // The window that completes next, the one before it where they overlap, and rows that may turn
  // out not to count.
  where.capacity = ratio * (overlaps ? 2 : 1) + shape_.maxDrafts;
  where.kv = place(slotBytes_, bytesOf(where.capacity * where.width, sizeof(float)));
  where.score = place(slotBytes_, bytesOf(where.capacity * where.width, sizeof(float)));
  // At a snapshot's position no window is under way.
  where.keptRows = overlaps ? ratio : 0;
  where.keptKv = place(snapshotBytes_, bytesOf(where.keptRows * where.width, sizeof(float)));
  where.keptScore = place(snapshotBytes_, bytesOf(where.keptRows * where.width, sizeof(float)));
  return where;
}

}  // namespace tandem::kvcache
