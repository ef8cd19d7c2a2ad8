// SPDX-License-Identifier: GPL-3.0-or-later
// Rank 0's ear: takes what rank 1 reports and hands it to the timeline, the log and the statistics.
#pragma once

#include <atomic>
#include <memory>
#include <thread>

#include "engine/api/event_sink.h"
#include "engine/base/event_fd.h"
#include "engine/base/log.h"
#include "engine/comm/peer_channel.h"
#include "engine/runtime/fetch_board.h"
#include "engine/runtime/memory_board.h"

namespace tandem::runtime {

/// Owns the thread "relay", which is the reader of the channel. Rank 1's monotonic times are moved
/// to this host's clock. Ends when the channel's health fails.
class PeerRelay {
 public:
  /// fetches   where rank 1's fetches go, if there is a disk tier
  ///
  /// The referenced objects must outlive it. Fails with Unavailable without file descriptors.
  static Result<std::unique_ptr<PeerRelay>> create(comm::PeerChannel& channel,
                                                   api::EventSink& events,
                                                   Logger& logger,
                                                   MemoryBoard& memory,
                                                   FetchBoard* fetches = nullptr);
  ~PeerRelay();
  PeerRelay(const PeerRelay&) = delete;
  PeerRelay& operator=(const PeerRelay&) = delete;

  /// Blocks until rank 1 has loaded its part of the model.
  /// Fails    with the health's reason when rank 1 is lost or gives up; Cancelled when `cancelFd`
  ///          polls readable.
  Result<void> waitUntilLoaded(int cancelFd) const;

 private:
  PeerRelay(comm::PeerChannel& channel,
            api::EventSink& events,
            Logger& logger,
            MemoryBoard& memory,
            FetchBoard* fetches,
            EventFd loaded);

  void run();
  Result<void> handle(const comm::PeerMessage& message);

  comm::PeerChannel& channel_;
  api::EventSink& events_;
  Logger& logger_;
  MemoryBoard& memory_;
  FetchBoard* const fetches_;
  const EventFd loaded_;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace tandem::runtime
