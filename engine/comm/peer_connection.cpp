// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/comm/peer_connection.h"

#include <fmt/core.h>
#include <poll.h>
#include <sys/random.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "engine/base/wire.h"
#include "engine/comm/data_handshake.h"
#include "engine/comm/peer_frame.h"

namespace tandem::comm {

namespace {

constexpr const char* kExporterLabel = "EXPORTER-tandem-data-connection";

/// An authenticated connection on its way to becoming a channel.
struct Meeting {
  std::unique_ptr<TlsStream> stream;
  FrameParser parser;
  PeerIdentity identity;
  ExportedKey dataKey{};
};

WaitLimit capped(const WaitLimit& limit, std::chrono::milliseconds atMost) {
  const MonotonicTime cap = std::chrono::steady_clock::now() + atMost;
  return {std::min(limit.deadline, cap), limit.cancelFd};
}

Result<void> sendFrame(Meeting& meeting,
                       std::uint16_t type,
                       const ByteWriter& payload,
                       const WaitLimit& limit) {
  return meeting.stream->write(encodeFrame(type, payload.bytes()), limit);
}

/// The next message, which must be of `type`.
Result<PeerMessage> expectFrame(Meeting& meeting, std::uint16_t type, const WaitLimit& limit) {
  std::array<std::byte, 4096> bytes{};
  while (true) {
    Result<std::optional<PeerMessage>> message = meeting.parser.next();
    if (!message) {
      return message.error();
    }
    if (message->has_value()) {
      if ((*message)->type != type) {
        return Error{ErrorCode::DataCorrupt,
                     fmt::format("expected peer message {}, got {}", type, (*message)->type),
                     "Run the same version of Tandem on both nodes."};
      }
      return std::move(**message);
    }
    const Result<std::size_t> count = meeting.stream->readSome(bytes);
    if (!count) {
      return count.error();
    }
    meeting.parser.feed(std::span(bytes).first(*count));
    if (*count == 0) {
      if (const Result<void> ready = waitFor(meeting.stream->socket(), POLLIN, limit); !ready) {
        return ready.error();
      }
    }
  }
}

void writeVersions(ByteWriter& payload, const PeerCredentials& credentials) {
  payload.number(kPeerProtocolVersion);
  payload.text(credentials.engineVersion);
}

/// Reads what writeVersions() wrote and compares.
Result<void> checkVersions(ByteReader& payload, int peerRank, const PeerCredentials& credentials) {
  const auto protocol = payload.number<std::uint32_t>();
  const std::string engine = payload.text();
  if (protocol == kPeerProtocolVersion && engine == credentials.engineVersion) {
    return {};
  }
  return Error{ErrorCode::InvalidArgument,
               fmt::format("rank {} runs Tandem {} (peer protocol {}), this node runs {} (peer "
                           "protocol {})",
                           peerRank,
                           engine,
                           protocol,
                           credentials.engineVersion,
                           kPeerProtocolVersion),
               "Install the same version on both nodes."};
}

Result<std::uint64_t> makeEpoch() {
  std::uint64_t epoch = 0;
  if (::getrandom(&epoch, sizeof epoch, 0) != static_cast<ssize_t>(sizeof epoch)) {
    return Error{ErrorCode::Unavailable, "no random bytes for an epoch", ""};
  }
  return epoch;
}

/// Rank 0's part of the greeting. `versionsDiffer` tells a peer that holds the secret but must not
/// take part from a stranger.
Result<Meeting> greetRank1(FileDescriptor socket,
                           const PeerCredentials& credentials,
                           const WaitLimit& limit,
                           bool& versionsDiffer) {
  Result<std::unique_ptr<TlsStream>> stream =
      TlsStream::handshake(std::move(socket), TlsRole::Server, *credentials.secret, limit);
  if (!stream) {
    return stream.error();
  }
  Meeting meeting{std::move(*stream), {}, {}, {}};
  Result<PeerMessage> join = expectFrame(meeting, frame_type::kJoin, limit);
  if (!join) {
    return join.error();
  }
  const Result<std::uint64_t> epoch = makeEpoch();
  if (!epoch) {
    return epoch.error();
  }
  // The answer goes out before the versions are judged: rank 1 judges them too and says the same.
  ByteWriter welcome;
  writeVersions(welcome, credentials);
  welcome.number(*epoch);
  const std::int64_t asked = monotonicNanoseconds();
  if (const Result<void> sent = sendFrame(meeting, frame_type::kWelcome, welcome, limit); !sent) {
    return sent.error();
  }
  ByteReader joined(join->payload);
  const Result<void> same = checkVersions(joined, 1, credentials);
  if (!same) {
    versionsDiffer = true;
    return same.error();
  }
  Result<PeerMessage> ack = expectFrame(meeting, frame_type::kAck, limit);
  if (!ack) {
    return ack.error();
  }
  const std::int64_t answered = monotonicNanoseconds();
  ByteReader acked(ack->payload);
  const auto theirs = acked.number<std::int64_t>();
  if (const Result<void> whole = acked.finish("clock"); !whole) {
    return whole.error();
  }
  const Result<ExportedKey> key = meeting.stream->exportKey(kExporterLabel);
  if (!key) {
    return key.error();
  }
  // Rank 1 read its clock between our two readings; their middle is the best guess of when.
  const std::int64_t middle = asked + (answered - asked) / 2;
  meeting.identity = PeerIdentity{0, *epoch, std::chrono::nanoseconds(middle - theirs)};
  meeting.dataKey = *key;
  return meeting;
}

/// Rank 1's part of the greeting.
Result<Meeting> greetRank0(FileDescriptor socket,
                           const PeerCredentials& credentials,
                           const WaitLimit& limit) {
  Result<std::unique_ptr<TlsStream>> stream =
      TlsStream::handshake(std::move(socket), TlsRole::Client, *credentials.secret, limit);
  if (!stream) {
    return stream.error();
  }
  Meeting meeting{std::move(*stream), {}, {}, {}};
  ByteWriter join;
  writeVersions(join, credentials);
  if (const Result<void> sent = sendFrame(meeting, frame_type::kJoin, join, limit); !sent) {
    return sent.error();
  }
  Result<PeerMessage> welcome = expectFrame(meeting, frame_type::kWelcome, limit);
  if (!welcome) {
    return welcome.error();
  }
  ByteReader payload(welcome->payload);
  if (const Result<void> same = checkVersions(payload, 0, credentials); !same) {
    return same.error();
  }
  const auto epoch = payload.number<std::uint64_t>();
  if (const Result<void> whole = payload.finish("welcome"); !whole) {
    return whole.error();
  }
  ByteWriter ack;
  ack.number(monotonicNanoseconds());
  if (const Result<void> sent = sendFrame(meeting, frame_type::kAck, ack, limit); !sent) {
    return sent.error();
  }
  const Result<ExportedKey> key = meeting.stream->exportKey(kExporterLabel);
  if (!key) {
    return key.error();
  }
  meeting.identity = PeerIdentity{1, epoch, {}};
  meeting.dataKey = *key;
  return meeting;
}

/// The first byte a client sends, left in place for whoever reads on.
Result<std::byte> peekFirstByte(int socket, const WaitLimit& limit) {
  if (const Result<void> ready = waitFor(socket, POLLIN, limit); !ready) {
    return ready.error();
  }
  std::byte first{};
  const ssize_t count = ::recv(socket, &first, 1, MSG_PEEK | MSG_DONTWAIT);
  if (count != 1) {
    return Error{ErrorCode::Unavailable, "it closed the connection at once", ""};
  }
  return first;
}

Result<PeerConnection> finish(Meeting meeting, FileDescriptor data, const PeerTimings& timings) {
  Result<std::unique_ptr<PeerChannel>> channel =
      SecurePeerChannel::create(std::move(meeting.stream),
                                std::move(meeting.parser),
                                meeting.identity,
                                timings);
  if (!channel) {
    return channel.error();
  }
  return PeerConnection{std::move(*channel), std::move(data)};
}

}  // namespace

Result<PeerListener> PeerListener::open(const std::string& host, std::uint16_t port) {
  Result<FileDescriptor> socket = listenTcp(host, port);
  if (!socket) {
    return socket.error();
  }
  return PeerListener(std::move(*socket));
}

std::uint16_t PeerListener::port() const {
  return localPort(socket_.get());
}

Result<PeerConnection> PeerListener::accept(const PeerCredentials& credentials,
                                            const WaitLimit& limit,
                                            Logger& logger) {
  std::optional<Meeting> meeting;
  std::string refusal;
  while (true) {
    Result<Accepted> client = acceptTcp(socket_.get(), limit);
    if (!client) {
      if (client.error().code != ErrorCode::Timeout) {
        return client.error();
      }
      return Error{ErrorCode::Timeout,
                   refusal.empty() ? std::string("rank 1 did not connect in time")
                                   : fmt::format("rank 1 did not connect in time; {}", refusal),
                   "Start the worker on the other node, and check the pairing and the cable."};
    }
    const std::string from = std::move(client->from);
    const WaitLimit patience = capped(limit, credentials.timings.handshake);
    const Result<std::byte> first = peekFirstByte(client->socket.get(), patience);
    Result<void> served;
    if (!first) {
      served = first.error();
    } else if (*first != kDataFirstByte) {
      bool versionsDiffer = false;
      Result<Meeting> greeted =
          greetRank1(std::move(client->socket), credentials, patience, versionsDiffer);
      if (versionsDiffer) {
        return greeted.error();
      }
      if (greeted) {
        // A worker that was restarted while its data connection was awaited replaces the first.
        meeting = std::move(*greeted);
      } else {
        served = greeted.error();
      }
    } else if (meeting) {
      served =
          acceptData(client->socket.get(), meeting->dataKey, meeting->identity.epoch, patience);
      if (served) {
        return finish(std::move(*meeting), std::move(client->socket), credentials.timings);
      }
    } else {
      served = Error{ErrorCode::PermissionDenied,
                     "it opened a data connection before any peer channel",
                     ""};
    }
    if (!served) {
      if (served.error().code == ErrorCode::Cancelled) {
        return served.error();
      }
      refusal = fmt::format("a connection from {} was refused: {}", from, served.error().message);
      logger.warning("peer", "{}", refusal);
    }
  }
}

Result<PeerConnection> connectToRank0(const std::string& host,
                                      std::uint16_t port,
                                      const PeerCredentials& credentials,
                                      const WaitLimit& limit) {
  Result<FileDescriptor> control = connectTcp(host, port, limit);
  if (!control) {
    return control.error();
  }
  // No shorter patience than the caller's: rank 0 may be refusing a stranger before it serves us.
  Result<Meeting> meeting = greetRank0(std::move(*control), credentials, limit);
  if (!meeting) {
    return meeting.error();
  }
  Result<FileDescriptor> data = connectTcp(host, port, limit);
  if (!data) {
    return data.error();
  }
  if (const Result<void> opened =
          openData(data->get(), meeting->dataKey, meeting->identity.epoch, limit);
      !opened) {
    return opened.error().within("data connection");
  }
  return finish(std::move(*meeting), std::move(*data), credentials.timings);
}

}  // namespace tandem::comm
