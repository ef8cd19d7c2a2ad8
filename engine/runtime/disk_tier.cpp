// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/runtime/disk_tier.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstddef>
#include <span>
#include <utility>

#include "engine/kvcache/token_hash.h"

namespace tandem::runtime {

namespace {

using kvcache::RecordKind;

constexpr std::size_t kNodesPerBlock = kvcache::kBlockTokens / kvcache::kSnapshotAlignment;

double milliseconds(std::chrono::nanoseconds duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

}  // namespace

DiskTier::DiskTier(LockstepRunner& runner,
                   kvcache::KvCacheManager& kv,
                   Logger& logger,
                   std::function<void()> wake,
                   const DiskTierLimits& limits)
    : runner_(runner),
      kv_(kv),
      logger_(logger),
      limits_(limits) {
  kv_.storePrefixes();
  runner_.fetches()->watch(std::move(wake));
}

DiskTier::~DiskTier() {
  runner_.fetches()->watch({});
}

bool DiskTier::isBringing(Sequence& sequence, std::int64_t reserveTokens) {
  SchedulingState& state = sequence.scheduling;
  if (bringing_ && bringing_->arrival == state.arrival) {
    return true;
  }
  if (!fetching_ || state.askedDisk) {
    return false;
  }
  if (state.diskTokens < 0) {
    state.diskTokens = findOnDisk(sequence, kv_.match(sequence.tokens));
  }
  if (state.diskTokens == 0) {
    state.askedDisk = true;
    return false;
  }
  // Another's prefix is on its way: this one's turn is soon.
  return bringing_ || kv_.hasFills() || begin(sequence, reserveTokens);
}

std::int64_t DiskTier::findOnDisk(const Sequence& sequence, std::int64_t inMemory) const {
  const std::span<const TokenId> tokens =
      std::span(sequence.tokens).first(sequence.tokens.size() - 1);
  const std::size_t known = kv_.prefixes().find(tokens).size();
  const std::vector<kvcache::ChainHash> chains = kvcache::chainsOf(tokens);
  const kvcache::DiskReplica& disk = *runner_.disk();
  const auto onDisk = [&](RecordKind kind, std::size_t node) {
    return disk.contains({kind, kvcache::keyOf(chains[node])});
  };
  std::int64_t deepest = 0;
  std::uint64_t bytes = disk.bytesOf(RecordKind::Snapshot);
  for (std::size_t node = 0; node < chains.size(); ++node) {
    const bool endsBlock = node % kNodesPerBlock == kNodesPerBlock - 1;
    const bool inMemoryToo = node < known;
    const std::uint64_t more = inMemoryToo ? 0 : disk.bytesOf(RecordKind::Block);
    const bool here = inMemoryToo || onDisk(RecordKind::Block, node);
    const auto position = static_cast<std::int64_t>(node + 1) * kvcache::kSnapshotAlignment;
    if (here && position > inMemory && bytes + more <= limits_.fetchBytes &&
        onDisk(RecordKind::Snapshot, node)) {
      deepest = position;
    }
    if (endsBlock) {
      bytes += more;
      if (!here || bytes > limits_.fetchBytes) {
        break;
      }
    }
  }
  return deepest;
}

bool DiskTier::begin(Sequence& sequence, std::int64_t reserveTokens) {
  SchedulingState& state = sequence.scheduling;
  state.memoryTokens = kv_.match(sequence.tokens);
  state.diskTokens = findOnDisk(sequence, state.memoryTokens);
  if (state.diskTokens == 0) {
    state.askedDisk = true;
    return false;
  }
  const auto prefix = std::span(sequence.tokens).first(static_cast<std::size_t>(state.diskTokens));
  std::optional<kvcache::PrefixRestore> room = kv_.beginRestore(prefix, reserveTokens);
  if (!room) {
    return false;  // nor is there room to start, or it starts without
  }
  state.askedDisk = true;
  FetchOrder order;
  order.ticket = ++lastTicket_;
  for (const kvcache::DiskPiece& piece : room->pieces) {
    order.records.push_back(piece.record);
  }
  bringing_ = Bringing{order.ticket,
                       state.arrival,
                       sequence.id,
                       {prefix.begin(), prefix.end()},
                       *std::move(room),
                       std::chrono::steady_clock::now(),
                       std::vector<bool>(runner_.peer() != nullptr ? 2 : 1)};
  if (const Result<void> ordered = runner_.fetch(order); !ordered) {
    failure_ = ordered.error();
  }
  return true;
}

void DiskTier::select(kvcache::CacheOperations& operations) const {
  // What the limit leaves out is the end of a path, which the next prefix of it brings up again.
  std::uint64_t bytes = 0;
  std::erase_if(operations.stores, [&](const kvcache::DiskPiece& piece) {
    if (bytes > limits_.storeBytes || !runner_.disk()->wants(piece.record)) {
      return true;
    }
    bytes += runner_.disk()->bytesOf(piece.record.kind);
    return false;
  });
}

Result<void> DiskTier::proceed(MonotonicTime now) {
  if (failure_) {
    return *failure_;
  }
  for (RankFetch& fetch : runner_.fetches()->take()) {
    if (!bringing_ || fetch.outcome.ticket != bringing_->ticket) {
      continue;
    }
    if (!fetch.outcome.reason.empty()) {
      if (const Result<void> told = giveUp(fetch.outcome, fetch.rank); !told) {
        return told;
      }
      continue;
    }
    const auto rank = static_cast<std::size_t>(fetch.rank);
    if (rank < bringing_->arrived.size()) {
      bringing_->arrived[rank] = true;
    }
  }
  if (!bringing_) {
    return {};
  }
  if (std::ranges::all_of(bringing_->arrived, [](bool arrived) { return arrived; })) {
    kv_.finishRestore(bringing_->room, bringing_->prefix);
    logger_.write(LogLevel::Info,
                  "cache",
                  bringing_->request,
                  fmt::format("{} tokens came back from the disk in {:.0f} ms",
                              bringing_->prefix.size(),
                              milliseconds(now - bringing_->begin)));
    bringing_.reset();
    return {};
  }
  if (now >= *deadline()) {
    return giveUp({bringing_->ticket,
                   fmt::format("not read in {} ms", limits_.patience.count()),
                   std::nullopt},
                  bringing_->arrived.front() ? 1 : 0);
  }
  return {};
}

Result<void> DiskTier::giveUp(const kvcache::FetchOutcome& why, int rank) {
  logger_.write(LogLevel::Warning,
                "cache",
                bringing_->request,
                fmt::format("{} tokens could not come back from rank {}'s disk and are computed "
                            "anew: {}",
                            bringing_->prefix.size(),
                            rank,
                            why.reason));
  if (rank != 0 && why.missing) {
    // The index must not go on promising what that rank may lack: then nobody would store it there
    // again. How much it lacks is not known.
    for (const kvcache::DiskPiece& piece : bringing_->room.pieces) {
      runner_.disk()->remove(piece.record);
    }
  }
  if (why.reason == kNoFolder) {
    logger_.warning("cache", "nothing can come back from the disk until rank {} has one", rank);
    fetching_ = false;
  }
  kv_.cancelRestore(bringing_->room);
  bringing_.reset();
  return runner_.fetch({++lastTicket_, {}});
}

std::optional<MonotonicTime> DiskTier::deadline() const {
  return bringing_ ? std::optional(bringing_->begin + limits_.patience) : std::nullopt;
}

void DiskTier::recordAdmission(const Sequence& sequence) {
  const std::int64_t before = sequence.scheduling.memoryTokens;
  if (before >= 0 && sequence.cachedTokens > before) {
    hitTokens_ += static_cast<std::uint64_t>(sequence.cachedTokens - before);
  }
}

std::uint64_t DiskTier::diskBytes() const {
  return runner_.disk()->counters().usage.bytes;
}

}  // namespace tandem::runtime
