// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/tools/event_log.h"

#include <fmt/core.h>

#include <string>
#include <utility>

#include "engine/base/byte_size.h"

namespace tandem::tools {

namespace {

std::string suffix(const std::string& detail) {
  return detail.empty() ? std::string() : ": " + detail;
}

}  // namespace

void EventLog::phase(const api::PhaseEvent& event) {
  if (next_ != nullptr) {
    next_->phase(event);
  }
  double seconds = 0;
  {
    const MutexLock lock(mutex_);
    std::int64_t& begun = begunNs_[{event.rank, event.phase}];
    if (event.kind == api::PhaseEventKind::Begin) {
      begun = event.monotonicNs;
    }
    seconds = static_cast<double>(event.monotonicNs - begun) * 1e-9;
  }
  const auto write = [&](LogLevel level, std::string text) {
    // In the name of the rank whose phase it is, so that a filter by rank finds it.
    logger_.relay({0, event.wallMs, event.rank, level, "start", {}, std::move(text)});
  };
  const std::string_view name = api::phaseName(event.phase);
  switch (event.kind) {
    case api::PhaseEventKind::Begin:
    case api::PhaseEventKind::Progress:
      return;
    case api::PhaseEventKind::End: {
      const std::string bytes =
          event.bytesTotal > 0 ? ", " + formatBytes(event.bytesTotal) : std::string();
      write(LogLevel::Info,
            fmt::format("{} took {:.3f} s{}{}", name, seconds, bytes, suffix(event.detail)));
      return;
    }
    case api::PhaseEventKind::Skipped:
      write(LogLevel::Info, fmt::format("{} is skipped{}", name, suffix(event.detail)));
      return;
    case api::PhaseEventKind::Failed:
      write(LogLevel::Error, fmt::format("{} failed{}", name, suffix(event.detail)));
      return;
  }
}

void EventLog::state(const api::StateEvent& event) {
  if (next_ != nullptr) {
    next_->state(event);
  }
  logger_.info("engine",
               "{}{}{}",
               api::engineStateName(event.state),
               event.endpoint.empty() ? "" : " at ",
               event.endpoint);
}

}  // namespace tandem::tools
