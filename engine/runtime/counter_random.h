// SPDX-License-Identifier: GPL-3.0-or-later
// Random numbers that depend on a seed and a position only, never on what else is being generated.
#pragma once

#include <array>
#include <cstdint>

namespace tandem::runtime {

/// Philox4x32-10: 128 bits as a function of a 128-bit counter and a 64-bit key.
///
/// Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC'11.
[[nodiscard]] std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> counter,
                                                      std::array<std::uint32_t, 2> key);

/// The n-th number of a seed's stream, uniform in [0, 1) with 53 bits.
[[nodiscard]] double uniformAt(std::uint64_t seed, std::uint64_t n);

}  // namespace tandem::runtime
