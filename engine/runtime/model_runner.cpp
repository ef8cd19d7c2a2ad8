// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/runtime/model_runner.h"

#include <fmt/core.h>

#include <cstddef>
#include <utility>

namespace tandem::runtime {

namespace {

constexpr const char* kRemedy = "Restart the engine; if it happens again, report both ranks' logs.";

}  // namespace

Result<void> ModelRunner::createCache(const model::CacheSettings& settings) {
  if ((settings.mtp || settings.maxDrafts > 0) && !model_.hasMtp()) {
    return Error{ErrorCode::InvalidArgument,
                 "drafts were asked for, and the checkpoint has no mtp.0 module",
                 "Start with --speculative off, or use a checkpoint with mtp.0."};
  }
  Result<std::unique_ptr<kvcache::KvCache>> cache =
      kvcache::KvCache::create(model_.cacheShape(settings), settings.capacity);
  if (!cache) {
    return cache.error();
  }
  cache_ = *std::move(cache);
  tables_.assign(static_cast<std::size_t>(settings.capacity.sequences), {});
  return {};
}

Result<StepOutcome> ModelRunner::run(const StepPlan& plan) {
  if (!cache_) {
    return Error{ErrorCode::Internal, "a plan came before the cache was made", kRemedy};
  }
  if (Result<void> applied = cache_->apply(plan.operations); !applied) {
    return applied.error();
  }
  std::vector<model::SequenceChunk> chunks;
  std::size_t rows = 0;
  std::size_t drafts = 0;
  for (const PlannedChunk& chunk : plan.chunks) {
    if (Result<void> updated = updateTable(chunk); !updated) {
      return updated.error();
    }
    chunks.push_back({.slot = chunk.slot,
                      .position = chunk.position,
                      .tokens = chunk.tokens,
                      .blocks = tables_[static_cast<std::size_t>(chunk.slot)],
                      .logitRows = chunk.logitRows,
                      .drafts = chunk.drafts});
    rows += static_cast<std::size_t>(chunk.logitRows + chunk.drafts);
    drafts += static_cast<std::size_t>(chunk.drafts);
  }
  if (chunks.empty()) {
    return StepOutcome{};
  }
  logits_.resize(rows * static_cast<std::size_t>(model_.vocabSize()));
  drafts_.resize(drafts);
  if (const Result<void> done =
          model_.forward(*cache_, chunks, {.logits = logits_, .drafts = drafts_});
      !done) {
    return done.error();
  }
  return StepOutcome{logits_, drafts_};
}

Result<void> ModelRunner::updateTable(const PlannedChunk& chunk) {
  const auto slots = static_cast<kvcache::SlotId>(tables_.size());
  if (chunk.slot < 0 || chunk.slot >= slots) {
    return Error{ErrorCode::Internal,
                 fmt::format("the plan feeds slot {} of {}", chunk.slot, slots),
                 kRemedy};
  }
  std::vector<kvcache::BlockId>& table = tables_[static_cast<std::size_t>(chunk.slot)];
  const auto kept = static_cast<std::size_t>(chunk.keptBlocks);
  if (chunk.keptBlocks < 0 || kept > table.size()) {
    return Error{ErrorCode::Internal,
                 fmt::format("the plan keeps {} of the {} blocks of slot {}",
                             chunk.keptBlocks,
                             table.size(),
                             chunk.slot),
                 kRemedy};
  }
  for (const kvcache::BlockId block : chunk.newBlocks) {
    if (block < 0 || block >= cache_->capacity().blocks) {
      return Error{ErrorCode::Internal,
                   fmt::format("the plan names block {} of {}", block, cache_->capacity().blocks),
                   kRemedy};
    }
  }
  table.resize(kept);
  table.insert(table.end(), chunk.newBlocks.begin(), chunk.newBlocks.end());
  return {};
}

}  // namespace tandem::runtime
