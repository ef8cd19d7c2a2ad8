// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/runtime/phase_scope.h"

#include <utility>

#include "engine/base/clock.h"

namespace tandem::runtime {

PhaseScope::PhaseScope(api::EventSink& sink, api::Phase phase, int rank, std::string detail)
    : sink_(sink),
      phase_(phase),
      rank_(rank) {
  report(api::PhaseEventKind::Begin, std::move(detail));
}

PhaseScope::~PhaseScope() {
  if (open_) {
    report(api::PhaseEventKind::Failed, "given up");
  }
}

void PhaseScope::progress(std::uint64_t bytesDone, std::uint64_t bytesTotal, std::string detail) {
  bytesDone_ = bytesDone;
  bytesTotal_ = bytesTotal;
  report(api::PhaseEventKind::Progress, std::move(detail));
}

void PhaseScope::end(std::string detail) {
  open_ = false;
  report(api::PhaseEventKind::End, std::move(detail));
}

Error PhaseScope::fail(const Error& error) {
  open_ = false;
  report(api::PhaseEventKind::Failed, error.text());
  return error;
}

void PhaseScope::report(api::PhaseEventKind kind, std::string detail) {
  sink_.phase(api::PhaseEvent{phase_,
                              rank_,
                              kind,
                              monotonicNanoseconds(),
                              wallMilliseconds(),
                              bytesDone_,
                              bytesTotal_,
                              std::move(detail)});
}

void skipPhase(api::EventSink& sink, api::Phase phase, int rank, std::string reason) {
  sink.phase(api::PhaseEvent{phase,
                             rank,
                             api::PhaseEventKind::Skipped,
                             monotonicNanoseconds(),
                             wallMilliseconds(),
                             0,
                             0,
                             std::move(reason)});
}

}  // namespace tandem::runtime
