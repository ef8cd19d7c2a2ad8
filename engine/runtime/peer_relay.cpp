// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/runtime/peer_relay.h"

#include <poll.h>

#include <array>
#include <cerrno>
#include <utility>

#include "engine/base/thread_name.h"
#include "engine/runtime/peer_messages.h"

namespace tandem::runtime {

namespace {

// How long destruction may wait for the thread to look up from an idle channel.
constexpr std::chrono::milliseconds kLookUp{100};

}  // namespace

Result<std::unique_ptr<PeerRelay>> PeerRelay::create(comm::PeerChannel& channel,
                                                     api::EventSink& events,
                                                     Logger& logger,
                                                     MemoryBoard& memory,
                                                     FetchBoard* fetches) {
  Result<EventFd> loaded = EventFd::create();
  if (!loaded) {
    return loaded.error();
  }
  return std::unique_ptr<PeerRelay>(
      new PeerRelay(channel, events, logger, memory, fetches, *std::move(loaded)));
}

PeerRelay::PeerRelay(comm::PeerChannel& channel,
                     api::EventSink& events,
                     Logger& logger,
                     MemoryBoard& memory,
                     FetchBoard* fetches,
                     EventFd loaded)
    : channel_(channel),
      events_(events),
      logger_(logger),
      memory_(memory),
      fetches_(fetches),
      loaded_(std::move(loaded)),
      thread_([this] { run(); }) {}

PeerRelay::~PeerRelay() {
  stopping_ = true;
  thread_.join();
}

Result<void> PeerRelay::waitUntilLoaded(int cancelFd) const {
  std::array<pollfd, 3> entries{pollfd{loaded_.fd(), POLLIN, 0},
                                pollfd{channel_.health()->failedFd(), POLLIN, 0},
                                pollfd{cancelFd, POLLIN, 0}};
  while (::poll(entries.data(), entries.size(), -1) < 0 && errno == EINTR) {
  }
  if (entries[2].revents != 0) {
    return Error{ErrorCode::Cancelled, "stopped while rank 1 was loading", ""};
  }
  if (entries[1].revents != 0) {
    return channel_.health()->failure().value();
  }
  return {};
}

void PeerRelay::run() {
  nameThisThread("relay");
  while (!stopping_) {
    const Result<std::optional<comm::PeerMessage>> message = channel_.receive(kLookUp);
    if (!message) {
      return;
    }
    if (!message->has_value()) {
      continue;
    }
    if (const Result<void> handled = handle(**message); !handled) {
      channel_.health()->fail(handled.error());
      return;
    }
  }
}

Result<void> PeerRelay::handle(const comm::PeerMessage& message) {
  switch (message.type) {
    case peer_message::kPhase: {
      Result<api::PhaseEvent> event = decodePhase(message.payload);
      if (!event) {
        return event.error();
      }
      event->monotonicNs += channel_.clockOffset().count();
      events_.phase(*event);
      return {};
    }
    case peer_message::kLog: {
      Result<LogRecord> record = decodeLog(message.payload);
      if (!record) {
        return record.error();
      }
      logger_.relay(*std::move(record));
      return {};
    }
    case peer_message::kMemory: {
      const Result<api::RankMemory> memory = decodeMemory(message.payload);
      if (!memory) {
        return memory.error();
      }
      memory_.update(*memory);
      return {};
    }
    case peer_message::kFetched: {
      Result<kvcache::FetchOutcome> outcome = decodeFetchOutcome(message.payload);
      if (!outcome) {
        return outcome.error();
      }
      if (fetches_ != nullptr) {
        fetches_->post(channel_.peerRank(), *std::move(outcome));
      }
      return {};
    }
    case peer_message::kLoaded:
      loaded_.raise();
      return {};
    default:
      logger_.warning("relay", "ignored a message of unknown type {}", message.type);
      return {};
  }
}

}  // namespace tandem::runtime
