// SPDX-License-Identifier: GPL-3.0-or-later
// What one core can do at most: bytes it reads a second, and multiply-adds. Prints JSON.
#include <fmt/core.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <vector>

// The wider of the two versions that engine/kernels/cpu/vector_math.cpp has. Vectors wider than the
// build's own are split before a clone is made, so the attribute is on the functions themselves.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
  #define TANDEM_WIDE __attribute__((target("arch=haswell")))
constexpr bool kForHaswell = true;
#else
  #define TANDEM_WIDE
constexpr bool kForHaswell = false;
#endif

namespace {

constexpr int kTries = 9;
constexpr std::size_t kLanes = 8;
constexpr std::size_t kChains = 8;  // independent sums: enough to hide a multiply-add's latency

using Words = std::uint64_t __attribute__((vector_size(32)));
using Lanes = float __attribute__((vector_size(kLanes * sizeof(float))));

/// Of this thread alone, so that other programs on a shared machine cost little. Seconds.
double cpuSeconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

/// count is a multiple of four.
TANDEM_WIDE std::uint64_t readAll(const Words* words, std::size_t count) {
  Words a{};
  Words b{};
  Words c{};
  Words d{};
  for (std::size_t i = 0; i < count; i += 4) {
    a ^= words[i];
    b ^= words[i + 1];
    c ^= words[i + 2];
    d ^= words[i + 3];
  }
  const Words all = a ^ b ^ c ^ d;
  return all[0] ^ all[1] ^ all[2] ^ all[3];
}

TANDEM_WIDE float multiplyAdd(float factor, std::size_t rounds) {
  // Written out: in an array the sums would live in memory.
  Lanes a{};
  Lanes b{};
  Lanes c{};
  Lanes d{};
  Lanes e{};
  Lanes f{};
  Lanes g{};
  Lanes h{};
  for (std::size_t round = 0; round < rounds; ++round) {
    a = a * factor + 1.0F;
    b = b * factor + 1.0F;
    c = c * factor + 1.0F;
    d = d * factor + 1.0F;
    e = e * factor + 1.0F;
    f = f * factor + 1.0F;
    g = g * factor + 1.0F;
    h = h * factor + 1.0F;
  }
  const Lanes sum = a + b + c + d + e + f + g + h;
  return sum[0] + sum[kLanes - 1];
}

/// The best of several tries: work units a second of CPU time.
template <typename Work>
double bestRate(double units, const Work& work) {
  double best = 0;
  for (int i = 0; i < kTries; ++i) {
    const double begin = cpuSeconds();
    work();
    best = std::max(best, units / (cpuSeconds() - begin));
  }
  return best;
}

}  // namespace

int main() {
#if defined(__x86_64__)
  if (kForHaswell && __builtin_cpu_supports("avx2") == 0) {
    fmt::print(stderr, "cpu-floor: this processor has no AVX2; build it without TANDEM_WIDE\n");
    return 1;
  }
#endif
  constexpr std::size_t kMemoryWords = std::size_t{16} << 20;  // 512 MiB: in no cache
  constexpr std::size_t kRankWords = std::size_t{1} << 18;     // 8 MiB: one rank's demo weights
  constexpr std::size_t kRankRounds = 64;
  constexpr std::size_t kFmaRounds = 20'000'000;
  const std::vector<Words> words(kMemoryWords, Words{1, 2, 3, 4});
  volatile std::uint64_t seen = 0;
  volatile float sum = 0;

  const double memory =
      bestRate(32.0 * kMemoryWords, [&] { seen = seen ^ readAll(words.data(), kMemoryWords); });
  const double cached = bestRate(32.0 * kRankWords * kRankRounds, [&] {
    for (std::size_t i = 0; i < kRankRounds; ++i) {
      seen = seen ^ readAll(words.data(), kRankWords);
    }
  });
  const double flops = bestRate(2.0 * kFmaRounds * kLanes * kChains,
                                [&] { sum = sum + multiplyAdd(0.5F, kFmaRounds); });
  fmt::print(
      "{{\"read_512_MiB_GB_per_s\": {:.1f}, \"read_8_MiB_GB_per_s\": {:.1f}, "
      "\"multiply_add_GFLOP_per_s\": {:.1f}}}\n",
      memory / 1e9,
      cached / 1e9,
      flops / 1e9);
  return 0;
}
