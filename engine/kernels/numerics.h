// SPDX-License-Identifier: GPL-3.0-or-later
// Where activations and caches are rounded; the names of the oracle.
#pragma once

namespace tandem::kernels {

/// One setting for the whole engine, the same in prefill and decode.
enum class Numerics {
  Exact,  // dequantised float32 everywhere: tests
  Cache,  // KV and indexer entries as they are stored: the default
  Act,    // Cache, and FP8 activations in groups of 128 before quantised linears (not wo_a)
};

}  // namespace tandem::kernels
