// SPDX-License-Identifier: GPL-3.0-or-later
// What one sequence remembers: window rows, raw compressor rows and compressed entries of every
// layer.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/kernels/matrix.h"
#include "engine/model/language_model.h"
#include "engine/model/model_config.h"

namespace tandem::model {

/// The state of one compressor. Rows are addressed by position, so forgetting tokens is only a
/// smaller length (architecture of vLLM's sliding-window state cache).
struct CompressorCache {
  kernels::Matrix<float> kvRing();
  kernels::Matrix<float> scoreRing();
  kernels::Matrix<float> entryRows();

  std::int64_t capacity = 0;  // rows of the rings
  std::int64_t width = 0;     // channels of a raw row
  std::int64_t dim = 0;       // channels of an entry
  std::vector<float> kv;
  std::vector<float> score;
  std::vector<float> entries;  // [n, dim], entry i covers tokens i * ratio ..
};

struct LayerCache {
  kernels::Matrix<float> windowRing();

  std::int64_t capacity = 0;
  std::int64_t dim = 0;
  std::vector<float> window;
  CompressorCache compressor;         // unused on ratio 0
  CompressorCache indexerCompressor;  // ratio 4 only
};

/// A SequenceState of DeepseekV4. Layers and MTP modules follow each other in `layers`.
///
/// Rings have room for the window and a whole step, so a step may write its rows before it attends.
class SequenceCache final : public SequenceState {
 public:
  SequenceCache(const ModelConfig& config,
                std::int64_t mtpModules,
                std::int64_t maxTokens,
                std::int64_t maxStepTokens);

  [[nodiscard]] std::int64_t length() const override { return length_; }
  [[nodiscard]] std::uint64_t bytes() const override;

  [[nodiscard]] std::int64_t maxTokens() const { return maxTokens_; }
  [[nodiscard]] LayerCache& layer(std::int64_t index) {
    return layers_[static_cast<std::size_t>(index)];
  }
  void advance(std::int64_t tokens) { length_ += tokens; }

  /// Rows that the MTP module has seen; it runs one token behind.
  [[nodiscard]] std::int64_t draftLength() const { return draftLength_; }
  void advanceDraft(std::int64_t tokens) { draftLength_ += tokens; }

 private:
  std::vector<LayerCache> layers_;
  std::int64_t maxTokens_;
  std::int64_t length_ = 0;
  std::int64_t draftLength_ = 0;
};

}  // namespace tandem::model
