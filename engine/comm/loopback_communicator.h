// SPDX-License-Identifier: GPL-3.0-or-later
// Ranks as threads of one process: collectives through shared memory, for tests and small machines.
#pragma once

#include <chrono>
#include <memory>
#include <vector>

#include "engine/comm/communicator.h"

namespace tandem::comm {

/// One end for each of `ranks` threads; index = rank. An end may be destroyed at any time: the
/// others then fail with Unavailable. Host memory only.
///
/// deadline   how long one end waits in a call for the others before it fails with Timeout
[[nodiscard]] std::vector<std::unique_ptr<Communicator>> makeLoopbackCommunicators(
    int ranks,
    std::chrono::milliseconds deadline = std::chrono::seconds(60));

}  // namespace tandem::comm
