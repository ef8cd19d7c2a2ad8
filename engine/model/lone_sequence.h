// SPDX-License-Identifier: GPL-3.0-or-later
// One sequence with a cache of its own, for scoring, self-tests and tests of the model.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "engine/base/result.h"
#include "engine/kvcache/kv_cache.h"
#include "engine/model/language_model.h"

namespace tandem::model {

/// Thread: that of the model, which must outlive it.
class LoneSequence {
 public:
  /// maxTokens  drafts included
  /// Fails      OutOfRange beyond the model's context; OutOfMemory
  static Result<LoneSequence> create(LanguageModel& model,
                                     std::int64_t maxTokens,
                                     bool mtp = false,
                                     std::int64_t maxDrafts = 0);

  [[nodiscard]] std::int64_t length() const { return length_; }
  [[nodiscard]] kvcache::KvCache& cache() { return *cache_; }
  [[nodiscard]] std::span<const kvcache::BlockId> blocks() const { return blocks_; }

  /// Appends tokens; logits of the last results.logits.size() / vocabSize of them, and as many of
  /// the MTP module's as fit results.mtpLogits.
  /// Fails as LanguageModel::forward(); the length then stays.
  Result<void> feed(std::span<const TokenId> tokens, const StepResults& results);

  /// Appends a token and as many guesses as fit results.drafts; truncate() says how many of
  /// them were right. results.logits has a row for the token and for each guess.
  Result<void> feedAndDraft(TokenId token, const StepResults& results);

  /// The sequence is `length` tokens long from now on; not longer than it was.
  void truncate(std::int64_t length) { length_ = length; }

 private:
  LoneSequence(LanguageModel& model,
               std::unique_ptr<kvcache::KvCache> cache,
               std::vector<kvcache::BlockId> blocks)
      : model_(&model),
        cache_(std::move(cache)),
        blocks_(std::move(blocks)) {}

  LanguageModel* model_;
  std::unique_ptr<kvcache::KvCache> cache_;
  std::vector<kvcache::BlockId> blocks_;
  std::int64_t length_ = 0;
};

}  // namespace tandem::model
