// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/runtime/memory_guard.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "engine/base/byte_size.h"

namespace tandem::runtime {

namespace {

using State = MemoryGuard::State;

// Reports of two-Spark users: with 1.3 to 1.8 GiB available a node still serves but is one
// allocation from freezing, guards that others wrote stop at 4 to 10 GiB, and 17 to 19 GiB have
// gone within 10 s. Two seconds of that are 4 GiB.
constexpr std::uint64_t kFloorBytes = 4 * kGiB;
// 5 %: 1.2 GiB of 24, 0.4 GiB of 8. Small machines have smaller allocations, and an engine that
// ended with 4 GiB of 8 available would never run there.
constexpr std::uint64_t kFloorPart = 20;
constexpr std::uint64_t kReleasePart = 8;  // release is this part of hold above it

constexpr double kFallWorthSaying = 64.0 * static_cast<double>(kMiB);  // a second
constexpr std::chrono::milliseconds kRateWindow{500};

std::string nodeName(int rank) {
  return rank == 0 ? "the head node" : "the worker node";
}

double secondsBetween(MonotonicTime from, MonotonicTime to) {
  return std::chrono::duration<double>(to - from).count();
}

}  // namespace

MemoryGuard::Thresholds MemoryGuard::thresholdsOf(const api::MemoryGuardConfig& config,
                                                  std::uint64_t totalBytes) {
  Thresholds lines;
  lines.floor = config.floorBytes;
  if (lines.floor == 0) {
    lines.floor = std::min(kFloorBytes, totalBytes / kFloorPart);
    if (config.holdBytes != 0) {
      lines.floor = std::min(lines.floor, config.holdBytes / 2);
    }
  }
  lines.hold = config.holdBytes != 0 ? config.holdBytes : 2 * lines.floor;
  lines.shrink = lines.floor + (lines.hold - lines.floor) / 2;
  lines.release = lines.hold + lines.hold / kReleasePart;
  return lines;
}

MemoryGuard::Decision MemoryGuard::assess(std::span<const RankFigures> ranks, MonotonicTime now) {
  if (!config_.enabled) {
    return {};
  }
  if (end_) {
    return *end_;
  }
  // Whoever was stopped itself, by a debugger or a suspend, has missed what the others said.
  if (!lastAssessed_ || now - *lastAssessed_ > kSilence) {
    watchingSince_ = now;
  }
  lastAssessed_ = now;
  nodes_.resize(std::max(nodes_.size(), ranks.size()));

  std::optional<Verdict> worst;
  std::uint64_t worstAvailable = 0;
  std::uint64_t missing = 0;
  for (std::size_t i = 0; i < ranks.size(); ++i) {
    Node& node = nodes_[i];
    take(node, ranks[i]);
    Verdict verdict = judge(node, ranks[i], now);
    if (verdict.state >= State::Shrinking) {
      missing = std::max(missing, verdict.missing);
    }
    const bool worse = !worst || verdict.state > worst->state;
    const bool asBadWithLess =
        worst && verdict.state == worst->state && node.available < worstAvailable;
    const bool onlyWords = worst && verdict.state == State::Normal && worst->sentence.empty();
    if (worse || (verdict.state != State::Normal && asBadWithLess) || onlyWords) {
      worst = std::move(verdict);
      worstAvailable = node.available;
    }
  }
  if (!worst) {
    return {};
  }
  Decision decision{worst->state, std::move(worst->sentence), std::move(worst->remedy), 0};
  if (decision.state == State::Ending) {
    end_ = decision;
  } else if (missing > 0 && (!lastShrink_ || now - *lastShrink_ >= kShrinkInterval)) {
    decision.shrinkByBytes = missing;
    lastShrink_ = now;
  }
  return decision;
}

void MemoryGuard::take(Node& node, const RankFigures& figures) const {
  if (!figures.arrived || figures.arrived == node.seen) {
    return;
  }
  const MonotonicTime time = *figures.arrived;
  node.seen = time;
  node.readable = figures.memory.hostTotalBytes != 0 && figures.memory.hostAvailableBytes != 0;
  if (!node.readable) {
    return;
  }
  node.total = figures.memory.hostTotalBytes;
  node.available = figures.memory.hostAvailableBytes;
  if (!node.rateFrom || time - *node.rateFrom >= kRateWindow) {
    node.fallPerSecond =
        node.rateFrom
            ? (static_cast<double>(node.rateAvailable) - static_cast<double>(node.available)) /
                  secondsBetween(*node.rateFrom, time)
            : 0;
    node.rateFrom = time;
    node.rateAvailable = node.available;
  }

  const Thresholds lines = thresholdsOf(config_, node.total);
  if (node.available >= lines.release) {
    node.belowFloor.reset();
    node.releasedFrom = node.releasedFrom.value_or(time);
    if (time - *node.releasedFrom >= kSettle) {
      node.level = State::Normal;
      node.notReleased.reset();
    }
    return;
  }
  node.releasedFrom.reset();
  if (node.available < lines.hold) {
    node.level = std::max(node.level, State::Holding);
  }
  if (node.level == State::Normal) {
    return;  // between hold and release, from above
  }
  node.notReleased = node.notReleased.value_or(time);
  if (node.available < lines.shrink || time - *node.notReleased >= kHoldPatience) {
    node.level = State::Shrinking;
  }
  if (node.available >= lines.floor) {
    node.belowFloor.reset();
    return;
  }
  node.belowFloor = node.belowFloor.value_or(time);
  if (node.available < lines.floor / 2 || time - *node.belowFloor >= kFloorPatience) {
    node.level = State::Ending;
  }
}

MemoryGuard::Verdict MemoryGuard::judge(const Node& node,
                                        const RankFigures& figures,
                                        MonotonicTime now) const {
  const std::string name = nodeName(figures.memory.rank);
  if (!node.seen) {
    return {};  // it is still starting
  }
  const Thresholds lines = thresholdsOf(config_, node.total);
  const std::string left = formatBytes(node.available);
  Verdict verdict;
  verdict.state = node.level;
  const std::chrono::nanoseconds silence = now - std::max(*node.seen, watchingSince_);
  if (node.level != State::Ending && silence >= kSilence) {
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(silence).count();
    if (node.readable && node.available < lines.shrink && silence >= kSilentEnd) {
      verdict.state = State::Ending;
      verdict.sentence = fmt::format(
          "the engine stopped: {} fell silent {} s ago with {} of memory left; the floor is {}",
          name,
          seconds,
          left,
          formatBytes(lines.floor));
      verdict.remedy =
          "See whether that node still answers. If it answers ping but not SSH, it has run out of "
          "memory and may need its power button.";
      return verdict;
    }
    verdict.state = std::max(node.level, State::Holding);
    verdict.sentence =
        fmt::format("{} has not told its memory for {} s: new requests wait", name, seconds);
    verdict.remedy = "See whether that node still answers.";
    return verdict;
  }
  if (!node.readable) {
    verdict.sentence =
        fmt::format("the memory of {} cannot be read: {}",
                    name,
                    node.level == State::Normal ? "it is not guarded"
                                                : "new requests wait, for it had " + left);
    verdict.remedy = "See whether /proc/meminfo has MemTotal and MemAvailable there.";
    return verdict;
  }
  verdict.missing = node.available < lines.release ? lines.release - node.available : 0;
  const std::string falling =
      node.fallPerSecond >= kFallWorthSaying
          ? fmt::format(", falling by {} a second",
                        formatBytes(static_cast<std::uint64_t>(node.fallPerSecond)))
          : "";
  switch (node.level) {
    case State::Normal:
      break;
    case State::Holding:
    case State::Shrinking:
      verdict.sentence =
          fmt::format("{} has {} of memory left{}: new requests wait{} until it has {}",
                      name,
                      left,
                      falling,
                      node.level == State::Shrinking ? " and the prefix cache shrinks" : "",
                      formatBytes(lines.release));
      verdict.remedy = "Close other programs on that node.";
      break;
    case State::Ending:
      verdict.sentence = fmt::format(
          "the engine stopped to keep {} alive: it has {} of memory left{}; the floor is {}",
          name,
          left,
          falling,
          formatBytes(lines.floor));
      verdict.remedy =
          "Close other programs on that node, or start with a shorter context; --memory-floor sets "
          "the floor.";
      break;
  }
  return verdict;
}

Result<void> checkMemoryGuard(const api::MemoryGuardConfig& config) {
  if (config.floorBytes != 0 && config.holdBytes != 0 && config.holdBytes <= config.floorBytes) {
    return Error{
        ErrorCode::InvalidArgument,
        fmt::format("the engine would end with {} left, before it holds new requests at {}",
                    formatBytes(config.floorBytes),
                    formatBytes(config.holdBytes)),
        "Make --memory-hold larger than --memory-floor."};
  }
  return {};
}

}  // namespace tandem::runtime
