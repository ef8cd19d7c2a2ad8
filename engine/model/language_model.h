// SPDX-License-Identifier: GPL-3.0-or-later
// What the runtime needs of a model: a cache for many sequences, and one forward step over them.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "engine/base/result.h"
#include "engine/base/token_id.h"
#include "engine/kvcache/cache_ids.h"
#include "engine/kvcache/kv_cache.h"

namespace tandem::model {

/// New tokens of one sequence in a step: a prefill chunk, or the newest token of an answer with
/// drafts of what follows it.
struct SequenceChunk {
  kvcache::SlotId slot = 0;
  std::int64_t position = 0;  // of tokens[0]: as many tokens of the sequence are committed
  std::span<const TokenId> tokens = {};           // not empty
  std::span<const kvcache::BlockId> blocks = {};  // reach position + tokens + drafts
  std::int64_t logitRows = 0;  // logits of the last `logitRows` tokens are wanted
  /// So many further tokens are guessed by the MTP module and computed in the same pass, each with
  /// its row of logits. Needs one token, logitRows 1, and a slot that knows the token before.
  std::int64_t drafts = 0;
  /// Logits of the last so many rows that the MTP module computes in this step are wanted. It
  /// stands one token behind: of a chunk of n tokens it computes n rows, of a sequence's first n
  /// - 1. Not with drafts.
  std::int64_t mtpLogitRows = 0;
};

/// What forward() writes. Rows and drafts are in the order of the chunks.
struct StepResults {
  std::span<float> logits = {};    // [Σ logitRows + drafts, vocabSize()], whole rows on every rank
  std::span<TokenId> drafts = {};  // [Σ drafts]
  std::span<float> mtpLogits = {};  // [Σ mtpLogitRows, vocabSize()]
};

struct CacheSettings {
  kvcache::CacheCapacity capacity;
  bool mtp = false;            // keep what the MTP module needs
  std::int64_t maxDrafts = 0;  // of a chunk; needs mtp
};

/// Both ranks call the same methods in the same order with the same arguments.
/// Thread   one: the engine thread of this rank.
class LanguageModel {
 public:
  virtual ~LanguageModel() = default;

  [[nodiscard]] virtual std::int64_t vocabSize() const = 0;
  [[nodiscard]] virtual std::int64_t maxContextTokens() const = 0;
  [[nodiscard]] virtual std::uint64_t weightBytes() const = 0;
  [[nodiscard]] virtual bool hasMtp() const = 0;

  /// The layout of a cache with these settings, to plan its capacity with.
  [[nodiscard]] virtual kvcache::CacheShape cacheShape(const CacheSettings& settings) const = 0;

  /// Feeds every chunk: first the guesses, then all rows at once. What was in the slots behind a
  /// chunk's position no longer counts.
  ///
  /// cache    of cacheShape()
  /// chunks   each slot at most once
  /// Fails    OutOfRange for a token id outside the vocabulary or a chunk beyond its blocks or the
  ///          context (nothing was changed); Unavailable when a peer was lost (the model is then
  ///          unusable).
  virtual Result<void> forward(kvcache::KvCache& cache,
                               std::span<const SequenceChunk> chunks,
                               const StepResults& results) = 0;
};

}  // namespace tandem::model
