// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/history/start_run.h"

#include <algorithm>
#include <map>
#include <utility>

namespace tandem::app {

namespace {

double seconds(std::int64_t fromNs, std::int64_t toNs) {
  return static_cast<double>(toNs - fromNs) / 1e9;
}

}  // namespace

std::optional<StartRun> startRunOf(const std::vector<api::PhaseEvent>& events) {
  if (events.empty()) {
    return std::nullopt;
  }
  const auto first = std::min_element(events.begin(),
                                      events.end(),
                                      [](const api::PhaseEvent& a, const api::PhaseEvent& b) {
                                        return a.monotonicNs < b.monotonicNs;
                                      });
  StartRun run;
  run.wallMs = first->wallMs;
  std::map<std::pair<api::Phase, int>, std::int64_t> begun;
  bool open = false;
  for (const api::PhaseEvent& event : events) {
    const std::pair key{event.phase, event.rank};
    switch (event.kind) {
      case api::PhaseEventKind::Begin:
        begun[key] = event.monotonicNs;
        break;
      case api::PhaseEventKind::Progress:
      case api::PhaseEventKind::Skipped:
        break;
      case api::PhaseEventKind::Failed:
        return std::nullopt;
      case api::PhaseEventKind::End: {
        const auto begin = begun.find(key);
        if (begin == begun.end()) {
          return std::nullopt;
        }
        // Clocks of two hosts meet in one list: a phase never takes less than nothing.
        run.phases.push_back({event.phase,
                              event.rank,
                              seconds(first->monotonicNs, begin->second),
                              std::max(0.0, seconds(begin->second, event.monotonicNs))});
        begun.erase(begin);
        run.seconds = std::max(run.seconds, seconds(first->monotonicNs, event.monotonicNs));
        open = open || event.phase == api::Phase::Api;
        break;
      }
    }
  }
  if (!open || !begun.empty()) {
    return std::nullopt;
  }
  std::stable_sort(run.phases.begin(),
                   run.phases.end(),
                   [](const PhaseSpan& a, const PhaseSpan& b) { return a.begin < b.begin; });
  return run;
}

}  // namespace tandem::app
