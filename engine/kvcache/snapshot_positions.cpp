// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/kvcache/snapshot_positions.h"

#include <algorithm>
#include <cstddef>
#include <utility>

namespace tandem::kvcache {

namespace {

constexpr std::int64_t kStride = 4096;
constexpr std::size_t kLatestBoundaries = 15;

std::int64_t strideFor(std::int64_t promptTokens, std::int32_t snapshots) {
  std::int64_t stride = kStride;
  while (promptTokens / stride > std::max(1, snapshots / 4)) {
    stride *= 2;
  }
  return stride;
}

}  // namespace

std::vector<std::int64_t> snapshotPositions(std::int64_t promptTokens,
                                            std::span<const std::int64_t> boundaries,
                                            std::int64_t cachedTokens,
                                            std::int32_t snapshots) {
  std::vector<std::int64_t> atMessages;
  for (const std::int64_t boundary : boundaries) {
    const std::int64_t position = alignedDown(boundary);
    if (position > 0 && position < promptTokens &&
        (atMessages.empty() || position > atMessages.back())) {
      atMessages.push_back(position);
    }
  }
  if (atMessages.size() > kLatestBoundaries + 1) {
    atMessages.erase(atMessages.begin() + 1,
                     atMessages.end() - static_cast<std::ptrdiff_t>(kLatestBoundaries));
  }

  std::vector<std::int64_t> positions = std::move(atMessages);
  const std::int64_t stride = strideFor(promptTokens, snapshots);
  for (std::int64_t position = stride; position < promptTokens; position += stride) {
    positions.push_back(position);
  }
  positions.push_back(alignedDown(promptTokens - 1));
  std::sort(positions.begin(), positions.end());
  positions.erase(std::unique(positions.begin(), positions.end()), positions.end());
  positions.erase(positions.begin(),
                  std::upper_bound(positions.begin(), positions.end(), cachedTokens));
  return positions;
}

}  // namespace tandem::kvcache
