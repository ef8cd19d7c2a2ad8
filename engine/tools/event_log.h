// SPDX-License-Identifier: GPL-3.0-or-later
// Writes phases and states into the log as well, with how long each phase took.
#pragma once

#include <cstdint>
#include <map>
#include <utility>

#include "engine/api/event_sink.h"
#include "engine/base/log.h"
#include "engine/base/thread_annotations.h"

namespace tandem::tools {

/// Passes every event on to `next`, which may be null. Both must outlive it. Any thread.
class EventLog final : public api::EventSink {
 public:
  explicit EventLog(Logger& logger, api::EventSink* next = nullptr)
      : logger_(logger),
        next_(next) {}

  void phase(const api::PhaseEvent& event) override TANDEM_EXCLUDES(mutex_);
  void state(const api::StateEvent& event) override;

 private:
  Logger& logger_;
  api::EventSink* const next_;
  Mutex mutex_;
  std::map<std::pair<int, api::Phase>, std::int64_t> begunNs_ TANDEM_GUARDED_BY(mutex_);
};

}  // namespace tandem::tools
