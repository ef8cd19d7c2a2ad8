// SPDX-License-Identifier: GPL-3.0-or-later
// Where a prompt is worth a snapshot.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/kvcache/cache_ids.h"

namespace tandem::kvcache {

[[nodiscard]] constexpr std::int64_t alignedDown(std::int64_t position) {
  return position / kSnapshotAlignment * kSnapshotAlignment;
}

/// The aligned positions above `cachedTokens` and below `promptTokens`, ascending, that a later
/// prompt may share:
/// - before its end: an answer may be asked for again, and the next turn may drop the reasoning;
/// - before a message begins: the first, which ends what all conversations have in common, and the
///   last 15 others, since conversations are edited and branch near their end;
/// - every 4,096 tokens, for everything else; wider where one prompt would take more than a quarter
///   of all `snapshots` with these.
///
/// boundaries  where messages begin, ascending; those outside of the prompt are ignored
[[nodiscard]] std::vector<std::int64_t> snapshotPositions(std::int64_t promptTokens,
                                                          std::span<const std::int64_t> boundaries,
                                                          std::int64_t cachedTokens,
                                                          std::int32_t snapshots);

}  // namespace tandem::kvcache
