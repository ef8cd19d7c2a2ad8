// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/runtime/peer_sinks.h"

#include "engine/runtime/peer_messages.h"

namespace tandem::runtime {

void PeerEventSink::phase(const api::PhaseEvent& event) {
  [[maybe_unused]] const Result<void> sent = channel_.send(peer_message::kPhase, encode(event));
}

void PeerLogSink::write(const LogRecord& record) {
  [[maybe_unused]] const Result<void> sent = channel_->send(peer_message::kLog, encode(record));
}

}  // namespace tandem::runtime
