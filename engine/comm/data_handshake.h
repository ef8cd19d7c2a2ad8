// SPDX-License-Identifier: GPL-3.0-or-later
// How a data connection proves that it belongs to an authenticated peer channel.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/base/result.h"
#include "engine/comm/tcp.h"
#include "engine/comm/tls_stream.h"

namespace tandem::comm {

/// Both ends answer a fresh challenge of the other with HMAC-SHA256 under a key exported from the
/// peer channel's TLS handshake, so bytes recorded from an earlier connection prove nothing.
///
///   rank 1 → rank 0   "TNDDATA1" · epoch u64 · challenge1 [32]
///   rank 0 → rank 1   challenge0 [32] · HMAC(key, "rank 0" · epoch · challenge1 · challenge0)
///   rank 1 → rank 0   HMAC(key, "rank 1" · epoch · challenge1 · challenge0)
///   rank 0 → rank 1   1 byte: 1 = accepted
///
/// What follows is not encrypted: collectives carry activations over the cable between two nodes,
/// and their latency is the engine's.

/// The first byte of a data connection; a TLS client begins with 0x16.
inline constexpr std::byte kDataFirstByte{'T'};

/// Rank 1. Fails with PermissionDenied when rank 0 cannot prove itself, or refuses.
Result<void> openData(int socket,
                      const ExportedKey& key,
                      std::uint64_t epoch,
                      const WaitLimit& limit);

/// Rank 0. Fails with PermissionDenied when the other end cannot prove itself; DataCorrupt when it
/// speaks something else.
Result<void> acceptData(int socket,
                        const ExportedKey& key,
                        std::uint64_t epoch,
                        const WaitLimit& limit);

}  // namespace tandem::comm
