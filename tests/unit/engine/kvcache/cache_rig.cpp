// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/unit/engine/kvcache/cache_rig.h"

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <span>
#include <utility>

namespace tandem::kvcache {

CacheRig::CacheRig(const CacheCapacity& capacity,
                   bool keepPrefixes,
                   std::int64_t maxDrafts,
                   std::uint32_t seed)
    : manager(capacity, keepPrefixes, maxDrafts),
      memory(capacity, maxDrafts, seed) {}

std::optional<Run> CacheRig::admit(std::vector<TokenId> tokens,
                                   std::optional<std::int64_t> promptTokens,
                                   const std::vector<std::int64_t>& boundaries,
                                   std::optional<std::int64_t> reserveTokens) {
  Run run;
  run.tokens = std::move(tokens);
  run.promptTokens = promptTokens.value_or(run.length());
  std::optional<SequenceKv> kv =
      manager.admit(std::span(run.tokens).first(static_cast<std::size_t>(run.promptTokens)),
                    boundaries,
                    reserveTokens.value_or(run.promptTokens));
  if (!kv) {
    return std::nullopt;
  }
  run.kv = *std::move(kv);
  return run;
}

CacheOperations CacheRig::plan(const std::vector<Run*>& running) {
  CacheOperations operations = manager.takeOperations();
  memory.apply(operations);
  for (Run* run : running) {
    if (!std::exchange(run->begun, true) && run->kv.cachedTokens == 0) {
      memory.reset(run->kv.slot);
    }
  }
  return operations;
}

bool CacheRig::step(Run& run, std::int64_t count, std::int64_t rejected) {
  if (!prepare(run, count, rejected)) {
    return false;
  }
  plan({&run});
  feed(run);
  return true;
}

bool CacheRig::prepare(Run& run, std::int64_t count, std::int64_t rejected) {
  const std::int64_t from = run.kv.committed;
  run.chunkEnd = std::min(from + count, run.length());
  run.rejected = rejected;
  if (from < run.promptTokens) {
    run.chunkEnd = KvCacheManager::chunkEnd(run.kv, from, std::min(run.chunkEnd, run.promptTokens));
  }
  return manager.reserve(run.kv, run.chunkEnd + rejected);
}

void CacheRig::feed(Run& run) {
  memory.step(run.kv.slot, run.kv.blocks, run.tokens, run.kv.committed, run.chunkEnd, run.rejected);
  manager.commit(run.kv, run.tokens, run.promptTokens, run.chunkEnd);
}

void CacheRig::runTo(Run& run, std::optional<std::int64_t> count) {
  const std::int64_t end = count.value_or(run.length());
  while (run.kv.committed < end) {
    const bool prompt = run.kv.committed < run.promptTokens;
    if (!step(run, prompt ? std::min<std::int64_t>(end - run.kv.committed, 512) : 1)) {
      return;
    }
  }
}

void CacheRig::complete(const std::vector<TokenId>& tokens,
                        std::int64_t promptTokens,
                        const std::vector<std::int64_t>& boundaries) {
  if (std::optional<Run> run = admit(tokens, promptTokens, boundaries)) {
    runTo(*run);
    release(*run);
  }
}

std::vector<TokenId> text(std::int64_t count, TokenId first) {
  std::vector<TokenId> tokens(static_cast<std::size_t>(count));
  std::iota(tokens.begin(), tokens.end(), first);
  return tokens;
}

std::vector<TokenId> continued(const std::vector<TokenId>& tokens,
                               std::int64_t count,
                               const std::vector<TokenId>& more) {
  std::vector<TokenId> result(tokens.begin(), tokens.begin() + count);
  result.insert(result.end(), more.begin(), more.end());
  return result;
}

}  // namespace tandem::kvcache
