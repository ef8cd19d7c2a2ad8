// SPDX-License-Identifier: GPL-3.0-or-later
// The name of an NCCL communicator: rank 0 makes it, and every rank joins with it.
#pragma once

#include <array>
#include <cstddef>

namespace tandem::comm {

/// The bytes of an ncclUniqueId. It names a listening socket, so it travels on the peer channel
/// only.
using NcclId = std::array<std::byte, 128>;

}  // namespace tandem::comm
