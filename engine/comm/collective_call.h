// SPDX-License-Identifier: GPL-3.0-or-later
// What a rank announces about a collective before it takes part, so that ranks that disagree fail
// with both views instead of exchanging wrong bytes.
#pragma once

#include <cstdint>
#include <string>

#include "engine/base/result.h"

namespace tandem::comm {

enum class CollectiveOp : std::uint8_t { AllReduceSum = 1, AllGather = 2, Broadcast = 3 };

[[nodiscard]] const char* collectiveOpName(CollectiveOp op);

/// The n-th collective of a communicator as one rank sees it.
struct CollectiveCall {
  std::uint64_t sequence = 0;  // counts from 1
  CollectiveOp op = CollectiveOp::AllReduceSum;
  std::int32_t root = 0;    // of a broadcast, else 0
  std::uint64_t bytes = 0;  // of this rank's buffer

  friend bool operator==(const CollectiveCall&, const CollectiveCall&) = default;
};

/// "all-reduce 17 of 4096 bytes".
[[nodiscard]] std::string describe(const CollectiveCall& call);

/// Internal "rank 0 is at …, rank 1 is at …", the lower rank first so that both read the same.
[[nodiscard]] Error mismatchError(int rankA,
                                  const CollectiveCall& callA,
                                  int rankB,
                                  const CollectiveCall& callB);

}  // namespace tandem::comm
