// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/model/lone_sequence.h"

#include <fmt/core.h>

#include <numeric>
#include <utility>

namespace tandem::model {

Result<LoneSequence> LoneSequence::create(LanguageModel& model,
                                          std::int64_t maxTokens,
                                          bool mtp,
                                          std::int64_t maxDrafts) {
  if (maxTokens < 1 || maxTokens > model.maxContextTokens()) {
    return Error{ErrorCode::OutOfRange,
                 fmt::format("a sequence of {} tokens was asked for, the model takes 1 to {}",
                             maxTokens,
                             model.maxContextTokens()),
                 "Shorten the prompt, or ask for fewer tokens."};
  }
  CacheSettings settings;
  settings.capacity.blocks =
      static_cast<std::int32_t>((maxTokens + kvcache::kBlockTokens - 1) / kvcache::kBlockTokens);
  settings.capacity.sequences = 1;
  settings.mtp = mtp;
  settings.maxDrafts = maxDrafts;
  Result<std::unique_ptr<kvcache::KvCache>> cache =
      kvcache::KvCache::create(model.cacheShape(settings), settings.capacity);
  if (!cache) {
    return cache.error();
  }
  std::vector<kvcache::BlockId> blocks(static_cast<std::size_t>(settings.capacity.blocks));
  std::iota(blocks.begin(), blocks.end(), 0);
  return LoneSequence(model, *std::move(cache), std::move(blocks));
}

Result<void> LoneSequence::feed(std::span<const TokenId> tokens, const StepResults& results) {
  const auto rowsOf = [this](std::span<float> logits) {
    return static_cast<std::int64_t>(logits.size()) / model_->vocabSize();
  };
  const SequenceChunk chunk{.position = length_,
                            .tokens = tokens,
                            .blocks = blocks_,
                            .logitRows = rowsOf(results.logits),
                            .mtpLogitRows = rowsOf(results.mtpLogits)};
  Result<void> done = model_->forward(*cache_, {&chunk, 1}, results);
  if (done) {
    length_ += static_cast<std::int64_t>(tokens.size());
  }
  return done;
}

Result<void> LoneSequence::feedAndDraft(TokenId token, const StepResults& results) {
  const auto drafts = static_cast<std::int64_t>(results.drafts.size());
  const SequenceChunk chunk{.position = length_,
                            .tokens = {&token, 1},
                            .blocks = blocks_,
                            .logitRows = 1,
                            .drafts = drafts};
  Result<void> done = model_->forward(*cache_, {&chunk, 1}, results);
  if (done) {
    length_ += 1 + drafts;
  }
  return done;
}

}  // namespace tandem::model
