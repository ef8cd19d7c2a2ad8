// SPDX-License-Identifier: GPL-3.0-or-later
// A peer channel between two threads of one process, for tests and for two ranks in one program.
#pragma once

#include <array>
#include <memory>

#include "engine/base/result.h"
#include "engine/comm/peer_channel.h"

namespace tandem::comm {

/// The two ends; index = rank. Destroying one without goodbye() is a loss to the other.
/// Fails with Unavailable when the process is out of file descriptors.
Result<std::array<std::unique_ptr<PeerChannel>, 2>> makeLoopbackPeerChannels(std::uint64_t epoch);

}  // namespace tandem::comm
