// SPDX-License-Identifier: GPL-3.0-or-later
// Carries out one rank's part of a step: the cache operations, and the forward pass.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "engine/base/log.h"
#include "engine/base/result.h"
#include "engine/kvcache/disk_replica.h"
#include "engine/model/language_model.h"
#include "engine/runtime/disk_cache_options.h"
#include "engine/runtime/step_plan.h"

namespace tandem::runtime {

/// Of one step, valid until the next. In the order of the chunks.
struct StepOutcome {
  std::span<const float> logits;    // [Σ logitRows + drafts, vocabSize]
  std::span<const TokenId> drafts;  // [Σ drafts]
};

/// The same on every rank. Engine thread; `model` must outlive it.
class ModelRunner {
 public:
  explicit ModelRunner(model::LanguageModel& model)
      : model_(model) {}

  /// Makes the cache. Once, before the first step.
  /// Fails    OutOfMemory; InvalidArgument for drafts of a checkpoint without MTP module
  Result<void> createCache(const model::CacheSettings& settings);

  /// Gives the cache a folder to keep prefixes in. Once, after createCache().
  /// Fails as DiskReplica::open(); the runner works on without it then.
  Result<void> openDisk(const DiskCacheOptions& options,
                        Logger& logger,
                        kvcache::DiskReplica::OnFetched onFetched);
  /// Waits for it as DiskReplica's destructor.
  void closeDisk() { disk_.reset(); }

  /// Fails as KvCache::apply() and LanguageModel::forward(); Internal for a block table that the
  /// plan does not continue, or a plan before the cache.
  Result<StepOutcome> run(const StepPlan& plan);

  [[nodiscard]] const model::LanguageModel& model() const { return model_; }
  [[nodiscard]] std::int64_t vocabSize() const { return model_.vocabSize(); }
  [[nodiscard]] std::uint64_t weightBytes() const { return model_.weightBytes(); }
  /// Null before createCache().
  [[nodiscard]] const kvcache::KvCache* cache() const { return cache_.get(); }
  /// Null without a folder.
  [[nodiscard]] kvcache::DiskReplica* disk() const { return disk_.get(); }
  [[nodiscard]] std::uint64_t cacheBytes() const { return cache_ ? cache_->bytes() : 0; }

 private:
  Result<void> updateTable(const PlannedChunk& chunk);

  model::LanguageModel& model_;
  std::unique_ptr<kvcache::KvCache> cache_;
  std::unique_ptr<kvcache::DiskReplica> disk_;
  bool mtp_ = false;
  std::vector<std::vector<kvcache::BlockId>> tables_;  // by slot
  std::vector<float> logits_;
  std::vector<TokenId> drafts_;
};

}  // namespace tandem::runtime
