// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/cuda/bandwidth_probe.h"

#include "engine/device/cuda/cuda_check.h"

namespace tandem::cuda {

namespace {

constexpr int kThreads = 512;
constexpr int kUnroll = 8;
// Enough to fill every device, and whole waves on none.
constexpr unsigned kBlocks = 2112;

__global__ void __launch_bounds__(kThreads)
    readKernel(const uint4* __restrict__ from, std::uint64_t count, std::uint32_t* sink) {
  const std::uint64_t threads = std::uint64_t{gridDim.x} * kThreads;
  std::uint64_t at = std::uint64_t{blockIdx.x} * kThreads + threadIdx.x;
  std::uint32_t sum = 0;
  for (; at + (kUnroll - 1) * threads < count; at += kUnroll * threads) {
    uint4 values[kUnroll];
#pragma unroll
    for (int i = 0; i < kUnroll; ++i) {
      values[i] = __ldcs(from + at + i * threads);
    }
#pragma unroll
    for (int i = 0; i < kUnroll; ++i) {
      sum ^= values[i].x ^ values[i].y ^ values[i].z ^ values[i].w;
    }
  }
  for (; at < count; at += threads) {
    const uint4 value = __ldcs(from + at);
    sum ^= value.x ^ value.y ^ value.z ^ value.w;
  }
  // Practically never true, but the compiler cannot know.
  if (sum == 0x5EED5EEDU) {
    *sink = sum;
  }
}

__global__ void __launch_bounds__(kThreads)
    copyKernel(uint4* __restrict__ to, const uint4* __restrict__ from, std::uint64_t count) {
  const std::uint64_t threads = std::uint64_t{gridDim.x} * kThreads;
  for (std::uint64_t at = std::uint64_t{blockIdx.x} * kThreads + threadIdx.x; at < count;
       at += threads) {
    __stcs(to + at, __ldcs(from + at));
  }
}

__device__ std::uint32_t mixed(std::uint32_t x) {
  x = (x ^ (x >> 16)) * 0x7FEB352DU;
  x = (x ^ (x >> 15)) * 0x846CA68BU;
  return x ^ (x >> 16);
}

__device__ std::uint32_t wordOf(Contents contents, std::uint32_t random) {
  switch (contents) {
    case Contents::Fp8Codes: {
      std::uint32_t word = 0;
      for (int i = 0; i < 4; ++i) {
        const std::uint32_t code = random >> (8 * i) & 255U;
        word |= ((code & 127U) == 127U ? code - 1 : code) << (8 * i);
      }
      return word;
    }
    case Contents::Fp4Codes:
      return random;
    case Contents::Scales:
      return 0x76767676U + (random & 0x07070707U);
    case Contents::Bf16Codes:
      return 0x3B803B80U + (random & 0x83FF83FFU);
    case Contents::Floats:
      return __float_as_uint(static_cast<float>(static_cast<std::int32_t>(random)) * 0x1p-31F);
  }
  return 0;
}

__global__ void __launch_bounds__(kThreads)
    fillKernel(Contents contents, std::uint32_t* to, std::uint64_t words, std::uint32_t seed) {
  const std::uint64_t threads = std::uint64_t{gridDim.x} * kThreads;
  for (std::uint64_t at = std::uint64_t{blockIdx.x} * kThreads + threadIdx.x; at < words;
       at += threads) {
    to[at] = wordOf(contents, mixed(static_cast<std::uint32_t>(at) ^ mixed(seed)));
  }
}

}  // namespace

Result<void> readAll(const std::uint8_t* from,
                     std::uint64_t bytes,
                     std::uint32_t* sink,
                     cudaStream_t stream) {
  readKernel<<<kBlocks, kThreads, 0, stream>>>(reinterpret_cast<const uint4*>(from),
                                               bytes / sizeof(uint4),
                                               sink);
  TANDEM_CHECK_CUDA(cudaGetLastError());
  return {};
}

Result<void> copyAll(std::uint8_t* to,
                     const std::uint8_t* from,
                     std::uint64_t bytes,
                     cudaStream_t stream) {
  copyKernel<<<kBlocks, kThreads, 0, stream>>>(reinterpret_cast<uint4*>(to),
                                               reinterpret_cast<const uint4*>(from),
                                               bytes / sizeof(uint4));
  TANDEM_CHECK_CUDA(cudaGetLastError());
  return {};
}

Result<void> fillWith(Contents contents,
                      void* to,
                      std::uint64_t bytes,
                      std::uint32_t seed,
                      cudaStream_t stream) {
  fillKernel<<<kBlocks, kThreads, 0, stream>>>(contents,
                                               static_cast<std::uint32_t*>(to),
                                               bytes / sizeof(std::uint32_t),
                                               seed);
  TANDEM_CHECK_CUDA(cudaGetLastError());
  return {};
}

}  // namespace tandem::cuda
