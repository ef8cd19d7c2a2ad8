// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/tools/two_spark_cost.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace tandem::tools {

double TwoSparkCost::distinctExperts(double rows) const {
  const double share = static_cast<double>(expertsPerToken) / experts;
  return experts * (1 - std::pow(1 - share, rows));
}

std::chrono::nanoseconds TwoSparkCost::duration(
    std::span<const runtime::ScheduledChunk> chunks) const {
  double rows = 0;
  double kvBytes = 0;
  double arithmetic = 0;
  double drafter = 0;
  int depth = 0;
  for (const runtime::ScheduledChunk& chunk : chunks) {
    const double own = static_cast<double>(chunk.count) + chunk.drafts;
    const double before = static_cast<double>(chunk.position);
    rows += own;
    // A few rows are bound by reading their context, a chunk of a prompt by what it computes with
    // it: it reads it once.
    kvBytes += contextBytes * before;
    arithmetic += own * rowFlops + contextFlops * (own * before + own * own / 2);
    depth = std::max(depth, chunk.drafts);
  }
  for (int place = 0; place < depth; ++place) {
    double drafting = 0;
    for (const runtime::ScheduledChunk& chunk : chunks) {
      drafting += chunk.drafts > place ? 1 : 0;
    }
    drafter += drafterBytes + drafterExpertBytes * distinctExperts(drafting);
  }
  const double reading =
      (denseBytes + expertBytes * distinctExperts(rows) + kvBytes + drafter) / bandwidth;
  const double bytes = rows * allReduceBytesPerRow;
  const double small = std::min(bytes, allReduceSmallBytes);
  const double network = allReduces * (allReduceLatency + small / allReduceSmallBandwidth +
                                       (bytes - small) / allReduceBandwidth);
  const double seconds = reading + arithmetic / flops + network;
  return std::chrono::nanoseconds(static_cast<std::int64_t>(std::llround(1e9 * seconds)));
}

}  // namespace tandem::tools
