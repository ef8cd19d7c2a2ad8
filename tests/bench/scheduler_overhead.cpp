// SPDX-License-Identifier: GPL-3.0-or-later
// What the scheduler and the cache's books cost beside a model that takes no time. Prints JSON.
#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "engine/kvcache/kv_cache_manager.h"
#include "engine/runtime/scheduler.h"

using namespace tandem;
using namespace tandem::runtime;

namespace {

constexpr int kSequences = 64;
constexpr int kSteps = 4000;

/// Of this thread alone, so that other programs on a shared machine cost little. Microseconds.
double cpuMicroseconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return 1e6 * static_cast<double>(now.tv_sec) + 1e-3 * static_cast<double>(now.tv_nsec);
}

struct Measured {
  double mean = 0;
  double median = 0;
  double p99 = 0;
  double worst = 0;
};

/// Steps of `answers` decoding sequences, with `prompts` long ones being read beside them. One
/// sequence in `lifetime` steps ends and is replaced.
Measured measure(int answers, int prompts, int lifetime) {
  SchedulerLimits limits;
  limits.maxRunning = kSequences;
  limits.maxQueued = kSequences;
  limits.maxDrafts = 2;
  limits.prefillChunkTokens = 2048;
  kvcache::KvCacheManager kv({40000, kSequences, 512}, true, kMostDrafts);
  Scheduler scheduler(limits, kv);
  std::mt19937 random(1);
  int next = 0;
  const auto submit = [&](std::int64_t prompt) {
    auto sequence = std::make_unique<Sequence>();
    sequence->id = fmt::format("request {}", next++);
    for (std::int64_t i = 0; i < prompt; ++i) {
      sequence->tokens.push_back(static_cast<TokenId>(random() % 129280));
    }
    sequence->promptTokens = prompt;
    sequence->maxTokens = prompt + 100000;
    (void)scheduler.submit(sequence).ok();
  };
  for (int i = 0; i < answers; ++i) {
    submit(2 + static_cast<std::int64_t>(random() % 400));
  }
  std::vector<double> times;
  for (int step = -500; step < kSteps; ++step) {
    if (step == -100) {
      for (int i = 0; i < prompts; ++i) {
        submit(90000);
      }
    }
    const double begin = cpuMicroseconds();
    if (lifetime > 0 && step % lifetime == 0) {
      const std::string oldest = scheduler.oldest()->id;
      scheduler.remove(oldest);
      submit(300);
    }
    const SchedulerOutput& output = scheduler.schedule();
    (void)kv.takeOperations();
    for (const ScheduledChunk& chunk : output.chunks) {
      TokenId drawn[kMostDrafts + 1] = {1, 2, 3, 4};
      const std::size_t accepted = random() % static_cast<unsigned>(chunk.drafts + 1);
      scheduler.committed(*chunk.sequence,
                          std::span(drawn).first(chunk.samples ? accepted + 1 : 0));
    }
    const double milliseconds = 20 + 0.3 * static_cast<double>(output.shape.rows());
    scheduler.stepTook(std::chrono::nanoseconds(static_cast<std::int64_t>(1e6 * milliseconds)));
    if (step >= 0) {
      times.push_back(cpuMicroseconds() - begin);
    }
  }
  std::sort(times.begin(), times.end());
  Measured result;
  for (const double time : times) {
    result.mean += time / kSteps;
  }
  result.median = times[kSteps / 2];
  result.p99 = times[kSteps * 99 / 100];
  result.worst = times.back();
  return result;
}

void print(const char* name, const Measured& measured, const char* after) {
  fmt::print(
      "\"{}\": {{\"mean_us\": {:.1f}, \"median_us\": {:.1f}, \"p99_us\": {:.1f}, "
      "\"worst_us\": {:.1f}}}{}",
      name,
      measured.mean,
      measured.median,
      measured.p99,
      measured.worst,
      after);
}

}  // namespace

int main() {
  fmt::print("{{\"sequences\": {}, \"steps\": {}, ", kSequences, kSteps);
  print("64 answers", measure(64, 0, 0), ", ");
  print("60 answers and 4 prompts", measure(60, 4, 0), ", ");
  print("64 answers, one ends every 8 steps", measure(64, 0, 8), "}\n");
  return 0;
}
