// SPDX-License-Identifier: GPL-3.0-or-later
// A manager with a cache that carries out what it decides, and sequences that run on both.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "engine/base/token_id.h"
#include "engine/kvcache/cache_ids.h"
#include "engine/kvcache/cache_operations.h"
#include "engine/kvcache/kv_cache_manager.h"
#include "tests/unit/engine/kvcache/fake_cache.h"

namespace tandem::kvcache {

/// `tokens` are all it will ever have; the answer is known beforehand.
struct Run {
  std::vector<TokenId> tokens;
  std::int64_t promptTokens = 0;
  SequenceKv kv;
  bool begun = false;         // a plan carried its beginning
  std::int64_t chunkEnd = 0;  // of the step in preparation
  std::int64_t rejected = 0;

  [[nodiscard]] std::int64_t length() const { return static_cast<std::int64_t>(tokens.size()); }
  [[nodiscard]] std::int64_t left() const { return length() - kv.committed; }
};

class CacheRig {
 public:
  explicit CacheRig(const CacheCapacity& capacity,
                    bool keepPrefixes = true,
                    std::int64_t maxDrafts = 3,
                    std::uint32_t seed = 1);

  /// Admits the first `promptTokens` (all, if not given), with blocks for `reserveTokens` (the
  /// same, if not given).
  std::optional<Run> admit(std::vector<TokenId> tokens,
                           std::optional<std::int64_t> promptTokens = {},
                           const std::vector<std::int64_t>& boundaries = {},
                           std::optional<std::int64_t> reserveTokens = {});

  /// The three parts of a step, in the order of the scheduler. prepare() settles on at most `count`
  /// tokens, a chunk while there is prompt, and `rejected` drafts more; false when there is no
  /// room.
  bool prepare(Run& run, std::int64_t count, std::int64_t rejected = 0);
  /// Takes the operations and carries them out.
  CacheOperations plan(const std::vector<Run*>& running);
  void feed(Run& run);

  /// All three for one sequence.
  bool step(Run& run, std::int64_t count, std::int64_t rejected = 0);
  /// Steps until `count` tokens are committed (all, if not given).
  void runTo(Run& run, std::optional<std::int64_t> count = {});

  void release(Run& run) { manager.release(run.kv, run.tokens); }

  /// Runs all of a sequence and releases it.
  void complete(const std::vector<TokenId>& tokens,
                std::int64_t promptTokens,
                const std::vector<std::int64_t>& boundaries = {});

  KvCacheManager manager;
  FakeCache memory;
};

/// `count` tokens that nobody else has who began with another `first`.
[[nodiscard]] std::vector<TokenId> text(std::int64_t count, TokenId first = 0);

/// The first `count` of `tokens` and then `more`.
[[nodiscard]] std::vector<TokenId> continued(const std::vector<TokenId>& tokens,
                                             std::int64_t count,
                                             const std::vector<TokenId>& more);

}  // namespace tandem::kvcache
