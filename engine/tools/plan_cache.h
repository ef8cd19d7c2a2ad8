// SPDX-License-Identifier: GPL-3.0-or-later
// What an engine's configuration means for its caches and its scheduler.
#pragma once

#include <optional>
#include <string>

#include "engine/api/engine_config.h"
#include "engine/base/result.h"
#include "engine/model/language_model.h"
#include "engine/runtime/disk_cache_options.h"
#include "engine/runtime/memory_board.h"
#include "engine/runtime/scheduler.h"

namespace tandem::tools {

struct CachePlan {
  model::CacheSettings settings;
  std::string description;  // for people
};

/// From what this host has available now and what `board` knows of other ranks' hosts, the least
/// counting: every rank gets the same.
///
/// ranksHere  ranks whose caches come out of this host's memory
/// Fails      as runtime::planCapacity(); Unavailable when the host's memory cannot be read and
///            kvGib is not set
Result<CachePlan> planCache(const api::EngineConfig& config,
                            const model::LanguageModel& model,
                            const runtime::MemoryBoard& board,
                            int ranksHere);

/// Where the rank of `config` keeps prefixes; nothing without a folder.
///
/// fingerprint   of the model's folder
/// backend       whose entries they are: others round differently
[[nodiscard]] std::optional<runtime::DiskCacheOptions> diskCacheOptions(
    const api::EngineConfig& config,
    const std::string& fingerprint,
    const std::string& backend);

[[nodiscard]] runtime::SchedulerLimits schedulerLimits(const api::EngineConfig& config);

}  // namespace tandem::tools
