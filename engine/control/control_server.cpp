// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/control/control_server.h"

#include <fmt/core.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "engine/base/thread_name.h"
#include "engine/control/client_identity.h"

namespace tandem::control {

namespace {

constexpr std::chrono::minutes kIdle{1};  // only something to do wakes the thread earlier

std::string refusal(ErrorCode code, std::string message, std::string remedy) {
  return protocol::encode(protocol::ControlMessage{
      {},
      protocol::Refusal{Error{code, std::move(message), std::move(remedy)}}});
}

}  // namespace

Result<std::unique_ptr<ControlServer>> ControlServer::create(ControlOptions options,
                                                             Logger& logger,
                                                             StopHandler stop) {
  Result<EventFd> event = EventFd::create();
  if (!event) {
    return event.error();
  }
  Result<std::unique_ptr<ControlSocket>> socket = ControlSocket::open(options.socket);
  if (!socket) {
    return socket.error();
  }
  auto wakeUp = std::make_shared<WakeUp>(*std::move(event));
  logger.addSink(std::make_unique<WakeUpSink>(wakeUp));
  return std::unique_ptr<ControlServer>(new ControlServer(std::move(options),
                                                          logger,
                                                          std::move(stop),
                                                          *std::move(socket),
                                                          std::move(wakeUp)));
}

ControlServer::ControlServer(ControlOptions options,
                             Logger& logger,
                             StopHandler stop,
                             std::unique_ptr<ControlSocket> socket,
                             std::shared_ptr<WakeUp> wakeUp)
    : options_(std::move(options)),
      logger_(logger),
      stop_(std::move(stop)),
      socket_(std::move(socket)),
      wakeUp_(std::move(wakeUp)),
      board_(options_.identity),
      nextTick_(std::chrono::steady_clock::now() + options_.statsPoll),
      thread_([this] { run(); }) {}

ControlServer::~ControlServer() {
  ending_ = true;
  wakeUp_->ring();
  thread_.join();
}

void ControlServer::phase(const api::PhaseEvent& event) {
  board_.add(event);
  wakeUp_->ring();
}

void ControlServer::state(const api::StateEvent& event) {
  board_.add(event);
  wakeUp_->ring();
}

void ControlServer::run() {
  nameThisThread("control");
  while (!ending_) {
    const bool ticking =
        acceptPaused_ || std::any_of(clients_.begin(), clients_.end(), [](const Client& client) {
          return client.session.wantsStats();
        });
    wait(ticking ? nextTick_ : std::chrono::steady_clock::now() + kIdle);
    const MonotonicTime now = std::chrono::steady_clock::now();
    if (now >= nextTick_) {
      tick(now);
    }
    acceptClients();
    for (Client& client : clients_) {
      hear(client);
      tell(client, now);
      cutOffIfLagging(client, now);
    }
    clients_.remove_if([](const Client& client) { return client.gone; });
  }
  sayGoodbye();
}

void ControlServer::tick(MonotonicTime now) {
  acceptPaused_ = false;
  for (Client& client : clients_) {
    client.session.statsDue();
  }
  nextTick_ = now + options_.statsPoll;
}

void ControlServer::wait(MonotonicTime deadline) {
  std::vector<pollfd> entries{pollfd{wakeUp_->fd(), POLLIN, 0}};
  if (socket_ && !acceptPaused_) {
    entries.push_back(pollfd{socket_->fd(), POLLIN, 0});
  }
  for (const Client& client : clients_) {
    const ControlConnection& connection = client.connection;
    // A client that does not read is not read from either.
    const bool listens = !ending_ && !client.ending && connection.hasRoom();
    const int events = (listens ? POLLIN : 0) | (connection.unsent() > 0 ? POLLOUT : 0);
    entries.push_back(pollfd{connection.fd(), static_cast<short>(events), 0});
    if (const std::optional<MonotonicTime> since = connection.waitingSince()) {
      deadline = std::min(deadline, *since + options_.patience);
    }
  }
  ::poll(entries.data(), entries.size(), pollTimeout(deadline));
  wakeUp_->hear();
}

void ControlServer::acceptClients() {
  while (!acceptPaused_) {
    FileDescriptor socket(::accept4(socket_->fd(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!socket.valid()) {
      acceptPaused_ = errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS;
      if (errno != ECONNABORTED && errno != EINTR) {
        return;
      }
    } else {
      admit(std::move(socket));
    }
  }
}

void ControlServer::admit(FileDescriptor socket) {
  const Result<ClientIdentity> client = identityOf(socket.get());
  const std::string who =
      client ? fmt::format("pid {}, uid {}", client->pid, client->uid) : std::string("unknown");
  std::string refused;
  if (!client || !mayControl(*client, ::geteuid(), socket_->group())) {
    logger_.warning("control", "a process that may not connect did: {}", who);
    refused = refusal(
        ErrorCode::PermissionDenied,
        client ? fmt::format("{} may not control this engine", who) : client.error().message,
        fmt::format("Join the group with id {}.", socket_->group()));
  } else if (clients_.size() >= options_.maxClients) {
    refused = refusal(ErrorCode::Unavailable,
                      fmt::format("{} clients are connected already", clients_.size()),
                      "Close one of them.");
  }
  if (!refused.empty()) {
    // A fresh socket takes a line at once; it is not kept, so refusals cannot pile up.
    ControlConnection connection(std::move(socket));
    const MonotonicTime now = std::chrono::steady_clock::now();
    connection.send(refused, now);
    [[maybe_unused]] const bool taken = connection.flush(now);
    return;
  }
  clients_.emplace_back(std::move(socket), ControlSession(who, board_, logger_, stop_));
}

void ControlServer::hear(Client& client) {
  ControlConnection& connection = client.connection;
  if (client.ending || !connection.hasRoom()) {
    return;
  }
  const bool open = connection.receive();
  const MonotonicTime now = std::chrono::steady_clock::now();
  while (connection.hasRoom()) {
    const std::optional<std::string> line = connection.nextLine();
    if (!line) {
      break;
    }
    connection.send(client.session.answer(*line), now);
  }
  if (connection.lineTooLong()) {
    connection.send(refusal(ErrorCode::InvalidArgument,
                            fmt::format("a line has more than {} bytes", protocol::kMaxLineBytes),
                            "Send one JSON object a line."),
                    now);
    client.ending = true;
  }
  // A client that only closes its sending side, as a script in a pipe does, still gets its answers.
  client.ending = client.ending || !open;
}

void ControlServer::tell(Client& client, MonotonicTime now) {
  ControlConnection& connection = client.connection;
  while (!client.gone) {
    if (!client.ending && connection.hasRoom()) {
      connection.send(client.session.nextEvents(), now);
    }
    const std::size_t unsent = connection.unsent();
    client.gone = !connection.flush(now) || client.session.lostRecords() ||
                  (client.ending && connection.unsent() == 0);
    if (unsent == 0 || connection.unsent() > 0) {
      return;
    }
  }
}

void ControlServer::cutOffIfLagging(Client& client, MonotonicTime now) {
  const std::optional<MonotonicTime> since = client.connection.waitingSince();
  const bool stuck = since && now >= *since + options_.patience;
  if (!stuck && !client.session.lostRecords()) {
    return;
  }
  logger_.warning("control", "{} reads too slowly and is cut off", client.session.who());
  client.gone = true;
}

void ControlServer::sayGoodbye() {
  socket_.reset();  // before the clients are hung up on: the end of a connection means it is gone
  const MonotonicTime deadline = std::chrono::steady_clock::now() + options_.lastPatience;
  while (true) {
    const MonotonicTime now = std::chrono::steady_clock::now();
    for (Client& client : clients_) {
      tell(client, now);
    }
    clients_.remove_if(
        [](const Client& client) { return client.gone || client.connection.unsent() == 0; });
    if (clients_.empty() || now >= deadline) {
      clients_.clear();
      return;
    }
    wait(deadline);
  }
}

}  // namespace tandem::control
