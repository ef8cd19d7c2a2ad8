// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/runtime/lockstep_runner.h"

#include <algorithm>
#include <utility>

namespace tandem::runtime {

LockstepRunner::LockstepRunner(model::LanguageModel& model, comm::PeerChannel* peer)
    : local_(model),
      peer_(peer) {
  plan_.epoch = peer != nullptr ? peer->epoch() : 0;
}

Result<void> LockstepRunner::createCache(const model::CacheSettings& settings) {
  if (Result<void> created = local_.createCache(settings); !created) {
    return created;
  }
  settings_ = settings;
  toldTables_.assign(static_cast<std::size_t>(settings.capacity.sequences), {});
  return peer_ != nullptr ? peer_->send(peer_message::kCache, encode(settings)) : Result<void>();
}

Result<void> LockstepRunner::openDisk(const DiskCacheOptions& options,
                                      Logger& logger,
                                      FetchBoard& board) {
  Result<void> opened =
      local_.openDisk(options, logger, [&board](const kvcache::FetchOutcome& outcome) {
        board.post(0, outcome);
      });
  if (opened) {
    fetches_ = &board;
  }
  return opened;
}

Result<void> LockstepRunner::fetch(const FetchOrder& order) {
  if (peer_ != nullptr) {
    if (Result<void> sent = peer_->send(peer_message::kFetch, encode(order)); !sent) {
      return sent;
    }
  }
  disk()->fetch(order.ticket, order.records);
  return {};
}

Result<StepOutcome> LockstepRunner::step(kvcache::CacheOperations operations,
                                         std::span<const StepChunk> chunks) {
  ++plan_.step;
  plan_.operations = std::move(operations);
  plan_.chunks.clear();
  for (const StepChunk& chunk : chunks) {
    plan_.chunks.push_back(planChunk(chunk));
  }
  if (peer_ != nullptr) {
    if (const Result<void> sent = peer_->send(peer_message::kPlan, encode(plan_)); !sent) {
      return sent.error();
    }
  }
  return local_.run(plan_);
}

PlannedChunk LockstepRunner::planChunk(const StepChunk& chunk) {
  std::vector<kvcache::BlockId>& told = toldTables_[static_cast<std::size_t>(chunk.slot)];
  const auto differs =
      std::mismatch(told.begin(), told.end(), chunk.blocks.begin(), chunk.blocks.end());
  const auto kept = differs.first - told.begin();
  PlannedChunk planned{.slot = chunk.slot,
                       .position = chunk.position,
                       .tokens = {chunk.tokens.begin(), chunk.tokens.end()},
                       .logitRows = chunk.logitRows,
                       .drafts = chunk.drafts,
                       .keptBlocks = static_cast<std::int32_t>(kept),
                       .newBlocks = {differs.second, chunk.blocks.end()}};
  told.assign(chunk.blocks.begin(), chunk.blocks.end());
  return planned;
}

}  // namespace tandem::runtime
