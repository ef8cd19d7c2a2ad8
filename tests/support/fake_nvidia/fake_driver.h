// SPDX-License-Identifier: GPL-3.0-or-later
// What each fake driver answers; FAKE_DRIVER_… chooses when a library is built.
#pragma once

#include <cstdint>

#define FAKE_EXPORT extern "C" __attribute__((visibility("default")))

namespace tandem::fake {

struct Gpu {
  const char* name;
  unsigned domain;
  unsigned bus;
  int major;
  int minor;
};

// NVML's and CUDA's numbers for what happens.
inline constexpr int kNvmlNotSupported = 3;
inline constexpr int kNvmlNotLoaded = 9;
inline constexpr int kNvmlMismatch = 18;
inline constexpr int kCudaNoDevice = 100;
inline constexpr int kCudaMismatch = 803;

#if defined(FAKE_DRIVER_H100)
inline constexpr Gpu kGpus[]{{"NVIDIA H100 80GB HBM3", 0, 0x3b, 9, 0},
                             {"NVIDIA H100 80GB HBM3", 0x10000, 0xaf, 9, 0}};
inline constexpr int kMemoryCode = 0;
inline constexpr std::uint64_t kMemoryBytes = 85520809984;
#elif defined(FAKE_DRIVER_ZERO)
inline constexpr Gpu kGpus[]{{"NVIDIA GB10", 0xf, 0x01, 12, 1}};
inline constexpr int kMemoryCode = 0;
inline constexpr std::uint64_t kMemoryBytes = 0;
#else
inline constexpr Gpu kGpus[]{{"NVIDIA GB10", 0xf, 0x01, 12, 1}};
inline constexpr int kMemoryCode = kNvmlNotSupported;
inline constexpr std::uint64_t kMemoryBytes = 0;
#endif

#if defined(FAKE_DRIVER_NOT_LOADED)
inline constexpr int kNvmlInit = kNvmlNotLoaded;
inline constexpr int kCudaInit = kCudaNoDevice;
#elif defined(FAKE_DRIVER_MISMATCH)
inline constexpr int kNvmlInit = kNvmlMismatch;
inline constexpr int kCudaInit = kCudaMismatch;
#else
inline constexpr int kNvmlInit = 0;
inline constexpr int kCudaInit = 0;
#endif

inline constexpr int kGpuCount = sizeof kGpus / sizeof kGpus[0];

}  // namespace tandem::fake
