// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/runtime/cache_budget.h"

#include <fmt/core.h>

#include <algorithm>

namespace tandem::runtime {

namespace {

constexpr std::uint64_t kSnapshotShare = 8;     // one eighth
constexpr std::int64_t kSnapshotTokens = 4096;  // a prompt is kept so often at least
constexpr std::int64_t kSpare = 2;              // times what can run, so that prefixes can stay

double gib(std::uint64_t bytes) {
  return static_cast<double>(bytes) / static_cast<double>(std::uint64_t{1} << 30U);
}

std::int64_t blocksFor(std::int64_t tokens) {
  return (tokens + kvcache::kBlockTokens - 1) / kvcache::kBlockTokens;
}

}  // namespace

std::uint64_t cacheBudget(const HostMemory& memory, double utilization) {
  const std::uint64_t above =
      memory.availableBytes > memory.keptBytes ? memory.availableBytes - memory.keptBytes : 0;
  const auto share =
      static_cast<std::uint64_t>(static_cast<double>(memory.availableBytes) * utilization);
  return std::min(above, share) / static_cast<std::uint64_t>(std::max(1, memory.ranksHere));
}

Result<kvcache::CacheCapacity> planCapacity(std::uint64_t budgetBytes,
                                            const kvcache::CacheLayout& layout,
                                            const CacheNeeds& needs) {
  const std::int64_t fullBlocks = blocksFor(needs.contextTokens);
  const std::uint64_t slotBytes = static_cast<std::uint64_t>(needs.sequences) * layout.slotBytes();
  const std::uint64_t rest = budgetBytes > slotBytes ? budgetBytes - slotBytes : 0;
  kvcache::CacheCapacity capacity;
  capacity.sequences = needs.sequences;
  std::uint64_t snapshotBytes = 0;
  if (needs.keepPrefixes) {
    const std::int64_t useful =
        kSpare * needs.sequences * (needs.contextTokens / kSnapshotTokens + 4);
    const std::uint64_t bought = rest / kSnapshotShare / layout.snapshotBytes();
    capacity.snapshots = static_cast<std::int32_t>(
        std::min<std::uint64_t>(bought, static_cast<std::uint64_t>(useful)));
    snapshotBytes = static_cast<std::uint64_t>(capacity.snapshots) * layout.snapshotBytes();
  }
  const std::uint64_t bought =
      (rest - snapshotBytes) / std::max<std::size_t>(layout.blockBytes(), 1);
  const std::int64_t useful = kSpare * needs.sequences * fullBlocks;
  capacity.blocks = static_cast<std::int32_t>(
      std::min<std::uint64_t>(bought, static_cast<std::uint64_t>(useful)));
  if (capacity.blocks < fullBlocks) {
    return Error{
        ErrorCode::OutOfMemory,
        fmt::format("the KV cache may take {:.2f} GiB and holds {} tokens in that; one request of "
                    "the full context has {}",
                    gib(budgetBytes),
                    std::int64_t{capacity.blocks} * kvcache::kBlockTokens,
                    needs.contextTokens),
        "Start with a shorter --context, give the cache more with --kv-gib, or close other "
        "programs."};
  }
  return capacity;
}

std::string describeCapacity(const kvcache::CacheCapacity& capacity,
                             const kvcache::CacheLayout& layout,
                             std::int64_t contextTokens) {
  const std::int64_t tokens = std::int64_t{capacity.blocks} * kvcache::kBlockTokens;
  const std::uint64_t bytes =
      static_cast<std::uint64_t>(capacity.blocks) * layout.blockBytes() +
      static_cast<std::uint64_t>(capacity.sequences) * layout.slotBytes() +
      static_cast<std::uint64_t>(capacity.snapshots) * layout.snapshotBytes();
  return fmt::format(
      "{} tokens in {:.2f} GiB ({:.0f} bytes a token): room for {:.1f} requests of "
      "{} tokens, {} at a time",
      tokens,
      gib(bytes),
      layout.bytesPerToken(),
      static_cast<double>(tokens) / static_cast<double>(contextTokens),
      contextTokens,
      capacity.sequences);
}

}  // namespace tandem::runtime
