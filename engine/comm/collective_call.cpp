// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/comm/collective_call.h"

#include <fmt/core.h>

namespace tandem::comm {

const char* collectiveOpName(CollectiveOp op) {
  switch (op) {
    case CollectiveOp::AllReduceSum:
      return "all-reduce";
    case CollectiveOp::AllGather:
      return "all-gather";
    case CollectiveOp::Broadcast:
      return "broadcast";
  }
  return "unknown operation";
}

std::string describe(const CollectiveCall& call) {
  std::string text =
      fmt::format("{} {} of {} bytes", collectiveOpName(call.op), call.sequence, call.bytes);
  if (call.op == CollectiveOp::Broadcast) {
    text += fmt::format(" from rank {}", call.root);
  }
  return text;
}

Error mismatchError(int rankA,
                    const CollectiveCall& callA,
                    int rankB,
                    const CollectiveCall& callB) {
  if (rankB < rankA) {
    return mismatchError(rankB, callB, rankA, callA);
  }
  return Error{ErrorCode::Internal,
               fmt::format("ranks are out of step: rank {} is at {}, rank {} is at {}",
                           rankA,
                           describe(callA),
                           rankB,
                           describe(callB)),
               "Restart the engine; if it happens again, report both ranks' logs."};
}

}  // namespace tandem::comm
