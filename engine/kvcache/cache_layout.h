// SPDX-License-Identifier: GPL-3.0-or-later
// Where every layer's entries and rows lie in a block, a slot and a snapshot.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/kernels/layout/entry_layout.h"
#include "engine/kvcache/cache_ids.h"

namespace tandem::kvcache {

/// What a model's caches must hold. Layers of the MTP module follow the others.
struct CacheShape {
  std::vector<int> ratios;  // of each layer: 0, 4 or 128
  std::int64_t windowTokens = 0;
  kernels::EntryLayout entry;       // window rows and compressed entries
  kernels::EntryLayout indexerKey;  // of ratio-4 layers
  std::int64_t streamWidth = 0;     // M * D of a carried row; 0 without an MTP module
  std::int64_t maxDrafts = 0;       // tokens of a step that may turn out not to be committed
};

/// One compressor's raw rows within a slot, and within a snapshot those of the last window.
struct CompressorPlace {
  std::int64_t width = 0;     // channels of a row
  std::int64_t capacity = 0;  // rows of the ring
  std::size_t kv = 0;         // byte offsets in a slot
  std::size_t score = 0;
  std::int64_t keptRows = 0;  // in a snapshot
  std::size_t keptKv = 0;     // byte offsets in a snapshot
  std::size_t keptScore = 0;
};

struct LayerPlace {
  int ratio = 0;
  std::size_t window = 0;      // in a slot
  std::size_t keptWindow = 0;  // in a snapshot
  std::int64_t entriesPerBlock = 0;
  std::size_t entries = 0;            // in a block
  std::size_t indexerKeys = 0;        // in a block; ratio 4 only
  CompressorPlace compressor;         // ratio != 0
  CompressorPlace indexerCompressor;  // ratio 4 only
};

/// Sizes are multiples of kAlignment, so that the parts of any array of them are aligned.
class CacheLayout {
 public:
  static constexpr std::size_t kAlignment = 64;

  explicit CacheLayout(const CacheShape& shape);

  [[nodiscard]] const CacheShape& shape() const { return shape_; }
  [[nodiscard]] const std::vector<LayerPlace>& layers() const { return layers_; }
  [[nodiscard]] std::int64_t windowCapacity() const { return windowCapacity_; }

  [[nodiscard]] std::size_t blockBytes() const { return blockBytes_; }
  [[nodiscard]] std::size_t slotBytes() const { return slotBytes_; }
  [[nodiscard]] std::size_t snapshotBytes() const { return snapshotBytes_; }

  /// Rows of streams that a slot carries from one step to the next.
  [[nodiscard]] std::int64_t carriedRows() const { return shape_.maxDrafts + 1; }
  [[nodiscard]] std::size_t carriedStreams() const { return carriedStreams_; }  // in a slot
  [[nodiscard]] std::size_t keptStream() const { return keptStream_; }  // in a snapshot: one row

  /// What one more token costs on this rank, on average.
  [[nodiscard]] double bytesPerToken() const {
    return static_cast<double>(blockBytes_) / static_cast<double>(kBlockTokens);
  }

 private:
  CompressorPlace placeCompressor(int ratio, std::int64_t dim);

  CacheShape shape_;
  std::vector<LayerPlace> layers_;
  std::int64_t windowCapacity_ = 0;
  std::size_t blockBytes_ = 0;
  std::size_t slotBytes_ = 0;
  std::size_t snapshotBytes_ = 0;
  std::size_t carriedStreams_ = 0;
  std::size_t keptStream_ = 0;
};

}  // namespace tandem::kvcache
