// SPDX-License-Identifier: GPL-3.0-or-later
// Plain kernels: what reading and copying cost, and made-up contents for buffers that are timed.
#pragma once

#include <cstdint>

#include <cuda_runtime_api.h>

#include "engine/base/result.h"

namespace tandem::cuda {

/// Reads all of `from`, whose size is a multiple of 16; `sink` [1] keeps the compiler honest.
[[nodiscard]] Result<void> readAll(const std::uint8_t* from,
                                   std::uint64_t bytes,
                                   std::uint32_t* sink,
                                   cudaStream_t stream);

/// Copies `bytes`, a multiple of 16.
[[nodiscard]] Result<void> copyAll(std::uint8_t* to,
                                   const std::uint8_t* from,
                                   std::uint64_t bytes,
                                   cudaStream_t stream);

enum class Contents {
  Fp8Codes,   // every E4M3 value but NaN
  Fp4Codes,   // any byte
  Scales,     // E8M0 from 2^-9 to 2^-2
  Bf16Codes,  // magnitudes from 2^-8 to 1
  Floats,     // in [-1, 1)
};

/// Reproducible contents; `bytes` is a multiple of 4.
[[nodiscard]] Result<void> fillWith(Contents contents,
                                    void* to,
                                    std::uint64_t bytes,
                                    std::uint32_t seed,
                                    cudaStream_t stream);

}  // namespace tandem::cuda
