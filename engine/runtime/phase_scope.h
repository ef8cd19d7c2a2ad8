// SPDX-License-Identifier: GPL-3.0-or-later
// One start-up phase of one rank, from its begin event to its end or failed event.
#pragma once

#include <cstdint>
#include <string>

#include "engine/api/event_sink.h"
#include "engine/base/result.h"

namespace tandem::runtime {

/// Reports Begin when made. One of end() and fail() must follow; a scope left without either
/// reports Failed, so that no timeline bar grows for ever. One thread.
class PhaseScope {
 public:
  PhaseScope(api::EventSink& sink, api::Phase phase, int rank, std::string detail = {});
  ~PhaseScope();
  PhaseScope(const PhaseScope&) = delete;
  PhaseScope& operator=(const PhaseScope&) = delete;

  void progress(std::uint64_t bytesDone, std::uint64_t bytesTotal, std::string detail = {});
  void end(std::string detail = {});

  /// Reports the failure and gives it back, so that a caller can write `return phase.fail(error)`.
  Error fail(const Error& error);

 private:
  void report(api::PhaseEventKind kind, std::string detail);

  api::EventSink& sink_;
  const api::Phase phase_;
  const int rank_;
  std::uint64_t bytesDone_ = 0;
  std::uint64_t bytesTotal_ = 0;
  bool open_ = true;
};

/// Reports a phase that does not apply here, and why.
void skipPhase(api::EventSink& sink, api::Phase phase, int rank, std::string reason);

}  // namespace tandem::runtime
