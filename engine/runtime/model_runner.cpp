// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/runtime/model_runner.h"

#include <fmt/format.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "engine/kvcache/token_hash.h"

namespace tandem::runtime {

namespace {

constexpr const char* kRemedy = "Restart the engine; if it happens again, report both ranks' logs.";

/// Of all that a record's bytes depend on besides tokens, numerics and the MTP module.
std::array<std::uint8_t, 16> modelHash(const std::string& model,
                                       const kvcache::CacheLayout& layout) {
  const kvcache::CacheShape& shape = layout.shape();
  const auto entry = [](const kernels::EntryLayout& entryLayout) {
    return fmt::format("{}/{}/{}",
                       static_cast<int>(entryLayout.format),
                       entryLayout.dim,
                       entryLayout.ropeDim);
  };
  const std::string facts = fmt::format("{}|{}|{}|{}|{}|{}|{}|{}|{}",
                                        model,
                                        kvcache::kBlockTokens,
                                        layout.blockBytes(),
                                        layout.snapshotBytes(),
                                        fmt::join(shape.ratios, ","),
                                        shape.windowTokens,
                                        entry(shape.entry),
                                        entry(shape.indexerKey),
                                        shape.streamWidth);
  const kvcache::ChainHash hash = kvcache::hashText(facts);
  return kvcache::keyOf(hash).bytes;
}

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
  mtp_ = settings.mtp;
  tables_.assign(static_cast<std::size_t>(settings.capacity.sequences), {});
  return {};
}

Result<void> ModelRunner::openDisk(const DiskCacheOptions& options,
                                   Logger& logger,
                                   kvcache::DiskReplica::OnFetched onFetched) {
  const kvcache::CacheLayout& layout = cache_->layout();
  kvcache::DiskReplicaOptions replica;
  replica.folder = options.folder;
  replica.limitBytes = options.limitBytes;
  replica.identity = {modelHash(options.model, layout), options.numerics, mtp_};
  replica.blockBytes = layout.blockBytes();
  replica.snapshotBytes = layout.snapshotBytes();
  replica.endPatience = options.endPatience;
  Result<std::unique_ptr<kvcache::DiskReplica>> disk =
      kvcache::DiskReplica::open(replica, logger, std::move(onFetched));
  if (!disk) {
    return disk.error();
  }
  disk_ = *std::move(disk);
  return {};
}

Result<StepOutcome> ModelRunner::run(const StepPlan& plan) {
  if (!cache_) {
    return Error{ErrorCode::Internal, "a plan came before the cache was made", kRemedy};
  }
  if (Result<void> applied = cache_->apply(plan.operations, disk_.get()); !applied) {
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
