// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/tools/scheduler_simulation.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>

#include <queue>

namespace tandem::tools {

namespace {

using runtime::ScheduledChunk;
using runtime::Scheduler;
using runtime::Sequence;

std::uint64_t mix(std::uint64_t value) {
  value += 0x9E3779B97F4A7C15U;
  value = (value ^ (value >> 30U)) * 0xBF58476D1CE4E5B9U;
  value = (value ^ (value >> 27U)) * 0x94D049BB133111EBU;
  return value ^ (value >> 31U);
}

/// A number in [0, 1) that belongs to the pair, so that a policy cannot change what is drawn.
double chance(std::uint64_t a, std::uint64_t b) {
  return static_cast<double>(mix(mix(a) ^ b) >> 11U) * 0x1.0p-53;
}

/// What a session says at a position, in prompts and answers alike.
TokenId tokenOf(int session, std::int64_t sharedTokens, std::int64_t position) {
  const std::uint64_t text = position < sharedTokens ? 0 : static_cast<std::uint64_t>(session) + 1;
  return static_cast<TokenId>(mix(mix(text) ^ static_cast<std::uint64_t>(position)) % 129'280);
}

struct Session {
  std::int64_t length = 0;  // of all that was said
  std::int64_t sharedTokens = 0;
  std::vector<std::int64_t> boundaries;
  std::vector<std::size_t> turns;  // still to come, the next one last
};

struct Live {
  std::size_t turn = 0;
  SimulatedRequest request;
  double lastDelivery = 0;
  bool started = false;
};

class Simulation {
 public:
  Simulation(const std::vector<TraceTurn>& trace, const SimulationOptions& options)
      : trace_(trace),
        options_(options),
        kv_(options.capacity, true, runtime::kMostDrafts),
        scheduler_(options.limits, kv_) {
    for (std::size_t i = trace.size(); i-- > 0;) {
      sessions_[trace[i].session].turns.push_back(i);
    }
    for (auto& [number, session] : sessions_) {
      arriveNext(session, 0);
    }
  }

  Result<SimulationResult> run() {
    for (;;) {
      if (Result<void> arrived = takeArrivals(); !arrived) {
        return arrived.error();
      }
      const runtime::SchedulerOutput& step = scheduler_.schedule();
      (void)kv_.takeOperations();
      if (!step.chunks.empty()) {
        runStep(step);
      } else if (!arrivals_.empty()) {
        now_ = std::max(now_, arrivals_.top().first);
      } else if (scheduler_.empty()) {
        break;
      } else {
        return Error{ErrorCode::Internal, "the scheduler has work and plans none of it", ""};
      }
    }
    result_.seconds = now_;
    result_.preemptions = scheduler_.preemptions();
    result_.cache = kv_.usage();
    return std::move(result_);
  }

 private:
  using Arrival = std::pair<double, std::size_t>;

  void arriveNext(Session& session, double after) {
    if (session.turns.empty()) {
      return;
    }
    const TraceTurn& turn = trace_[session.turns.back()];
    arrivals_.emplace(std::max(turn.at, after + turn.gap), session.turns.back());
    session.turns.pop_back();
  }

  Result<void> takeArrivals() {
    while (!arrivals_.empty() && arrivals_.top().first <= now_) {
      const auto [at, index] = arrivals_.top();
      arrivals_.pop();
      const TraceTurn& turn = trace_[index];
      Session& session = sessions_[turn.session];
      if (session.length == 0) {
        session.sharedTokens = turn.sharedTokens;
        if (turn.sharedTokens > 0) {
          session.boundaries.push_back(turn.sharedTokens);
        }
      } else {
        session.boundaries.push_back(session.length);
      }
      auto sequence = std::make_unique<Sequence>();
      sequence->id = fmt::format("{}", index);
      sequence->promptTokens =
          session.length + turn.newTokens + (session.length == 0 ? turn.sharedTokens : 0);
      sequence->maxTokens = sequence->promptTokens + turn.answerTokens;
      sequence->boundaries = session.boundaries;
      sequence->tokens.reserve(static_cast<std::size_t>(sequence->maxTokens));
      for (std::int64_t i = 0; i < sequence->promptTokens; ++i) {
        sequence->tokens.push_back(tokenOf(turn.session, session.sharedTokens, i));
      }
      Live live;
      live.turn = index;
      live.request.session = turn.session;
      live.request.promptTokens = sequence->promptTokens;
      live.request.answerTokens = turn.answerTokens;
      live.request.arrived = at;
      const std::string id = sequence->id;
      if (Result<void> taken = scheduler_.submit(sequence); !taken) {
        if (taken.error().code != ErrorCode::Unavailable) {
          return taken;
        }
        // As a client does that is told to come again.
        ++result_.refused;
        if (session.length > 0 || turn.sharedTokens > 0) {
          session.boundaries.pop_back();
        }
        arrivals_.emplace(now_ + 1, index);
        continue;
      }
      session.length = live.request.promptTokens;
      live_.emplace(id, live);
    }
    return {};
  }

  void runStep(const runtime::SchedulerOutput& step) {
    const double seconds =
        std::chrono::duration<double>(options_.cost.duration(step.chunks)).count() *
        (1 + options_.noise * (2 * chance(options_.seed, noiseDraws_++) - 1));
    const double begin = now_;
    now_ += seconds;
    ++result_.steps;
    const bool reading = promptsWait();
    double delivered = 0;
    int answers = 0;
    std::vector<std::string> ended;
    for (const ScheduledChunk& chunk : step.chunks) {
      Sequence& sequence = *chunk.sequence;
      Live& live = live_.at(sequence.id);
      if (!live.started) {
        live.started = true;
        live.request.started = begin;
        live.request.cachedTokens = chunk.position;
      }
      const std::vector<TokenId> drawn = draw(chunk, live);
      const bool first = sequence.completionTokens() == 0;
      scheduler_.committed(sequence, drawn);
      if (drawn.empty()) {
        continue;
      }
      if (first) {
        live.request.firstToken = now_;
      } else {
        const double gap = now_ - live.lastDelivery;
        live.request.longestGap = std::max(live.request.longestGap, gap);
        result_.gaps.push_back(gap);
        for (std::size_t i = 0; i < drawn.size(); ++i) {
          result_.tokenTimes.push_back(gap / static_cast<double>(drawn.size()));
        }
        if (reading) {
          result_.worstStall = std::max(result_.worstStall, gap);
        }
        delivered += static_cast<double>(drawn.size());
        ++answers;
      }
      live.lastDelivery = now_;
      if (sequence.length() == sequence.maxTokens) {
        ended.push_back(sequence.id);
      }
    }
    if (reading && answers > 0) {
      result_.mixedSeconds += seconds;
      result_.mixedTokens += delivered / answers;
    }
    scheduler_.stepTook(std::chrono::nanoseconds(std::llround(1e9 * seconds)));
    for (const std::string& id : ended) {
      finish(id);
    }
  }

  [[nodiscard]] bool promptsWait() const {
    return std::any_of(live_.begin(), live_.end(), [](const auto& entry) {
      return entry.second.started && entry.second.request.firstToken == 0;
    });
  }

  std::vector<TokenId> draw(const ScheduledChunk& chunk, const Live& live) {
    const TraceTurn& turn = trace_[live.turn];
    const Session& session = sessions_[turn.session];
    const Sequence& sequence = *chunk.sequence;
    std::vector<TokenId> drawn;
    if (!chunk.samples) {
      return drawn;
    }
    int accepted = 0;
    while (accepted < chunk.drafts &&
           chance(options_.seed + live.turn,
                  static_cast<std::uint64_t>(sequence.length() + accepted)) <
               turn.acceptance[static_cast<std::size_t>(accepted)]) {
      ++accepted;
    }
    for (int i = 0; i <= accepted; ++i) {
      drawn.push_back(tokenOf(turn.session, session.sharedTokens, sequence.length() + i));
    }
    return drawn;
  }

  void finish(const std::string& id) {
    const std::unique_ptr<Sequence> sequence = scheduler_.remove(id);
    Live live = live_.at(id);
    live_.erase(id);
    live.request.ended = now_;
    Session& session = sessions_[live.request.session];
    session.boundaries.push_back(session.length);
    session.length = sequence->length();
    result_.requests.push_back(live.request);
    arriveNext(session, now_);
  }

  const std::vector<TraceTurn>& trace_;
  const SimulationOptions& options_;
  kvcache::KvCacheManager kv_;
  Scheduler scheduler_;
  std::map<int, Session> sessions_;
  std::priority_queue<Arrival, std::vector<Arrival>, std::greater<>> arrivals_;
  std::unordered_map<std::string, Live> live_;
  double now_ = 0;
  std::uint64_t noiseDraws_ = 0;
  SimulationResult result_;
};

}  // namespace

Result<SimulationResult> simulate(const std::vector<TraceTurn>& trace,
                                  const SimulationOptions& options) {
  return Simulation(trace, options).run();
}

}  // namespace tandem::tools
