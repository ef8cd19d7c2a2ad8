// SPDX-License-Identifier: GPL-3.0-or-later
// How rank 1 reports: its phases and log lines travel to rank 0, which shows them with its own.
#pragma once

#include "engine/api/event_sink.h"
#include "engine/base/log.h"
#include "engine/comm/peer_channel.h"

namespace tandem::runtime {

/// Sends phases. A lost rank 0 has no use for them, so failures to send are dropped: the channel's
/// health tells those who care. `channel` must outlive it.
class PeerEventSink final : public api::EventSink {
 public:
  explicit PeerEventSink(comm::PeerChannel& channel)
      : channel_(channel) {}

  void phase(const api::PhaseEvent& event) override;
  void state(const api::StateEvent& /*event*/) override {}  // the engine's state is rank 0's

 private:
  comm::PeerChannel& channel_;
};

/// Sends log records, with the same indifference.
class PeerLogSink final : public LogSink {
 public:
  explicit PeerLogSink(std::shared_ptr<comm::PeerChannel> channel)
      : channel_(std::move(channel)) {}

  void write(const LogRecord& record) override;

 private:
  const std::shared_ptr<comm::PeerChannel> channel_;
};

}  // namespace tandem::runtime
