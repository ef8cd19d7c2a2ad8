// SPDX-License-Identifier: GPL-3.0-or-later
// The control channel of an engine process: a thread that talks to panels and scripts.
#pragma once

#include <atomic>
#include <chrono>
#include <filesystem>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "engine/api/engine_client.h"
#include "engine/api/event_sink.h"
#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/base/result.h"
#include "engine/control/control_connection.h"
#include "engine/control/control_session.h"
#include "engine/control/control_socket.h"
#include "engine/control/engine_board.h"
#include "engine/control/wake_up.h"

namespace tandem::control {

struct ControlOptions {
  std::filesystem::path socket;
  EngineIdentity identity;
  std::size_t maxClients = 32;
  std::chrono::milliseconds statsPoll{100};      // between looks for a newer snapshot
  std::chrono::milliseconds patience{10000};     // with a client that takes nothing, then cut off
  std::chrono::milliseconds lastPatience{1000};  // with all clients at the end
};

/// Serves from create() to its end, at which every client is told what happened until then and
/// then hung up on; by then the socket's file is gone. phase() and state() are for any thread and
/// wait for no client.
class ControlServer final : public api::EventSink {
 public:
  /// Starts the thread "control" and adds a sink to `logger`, which must outlive the server. `stop`
  /// is called on that thread and must not wait.
  /// Fails    as ControlSocket::open
  static Result<std::unique_ptr<ControlServer>> create(ControlOptions options,
                                                       Logger& logger,
                                                       StopHandler stop);
  ~ControlServer() override;
  ControlServer(const ControlServer&) = delete;
  ControlServer& operator=(const ControlServer&) = delete;

  void phase(const api::PhaseEvent& event) override;
  void state(const api::StateEvent& event) override;

 private:
  friend class EngineWatch;

  struct Client {
    Client(FileDescriptor socket, ControlSession conversation)
        : connection(std::move(socket)),
          session(std::move(conversation)) {}

    ControlConnection connection;
    ControlSession session;
    bool ending = false;  // gets what was sent to it, then it is hung up on
    bool gone = false;
  };

  ControlServer(ControlOptions options,
                Logger& logger,
                StopHandler stop,
                std::unique_ptr<ControlSocket> socket,
                std::shared_ptr<WakeUp> wakeUp);

  void run();
  /// Once in a while: looks for newer statistics, and tries again what did not work.
  void tick(MonotonicTime now);
  /// Waits until there is something to do, at most until `deadline`.
  void wait(MonotonicTime deadline);
  void acceptClients();
  void admit(FileDescriptor socket);
  void hear(Client& client);
  void tell(Client& client, MonotonicTime now);
  void cutOffIfLagging(Client& client, MonotonicTime now);
  void sayGoodbye();

  const ControlOptions options_;
  Logger& logger_;
  const StopHandler stop_;
  std::unique_ptr<ControlSocket> socket_;
  const std::shared_ptr<WakeUp> wakeUp_;
  EngineBoard board_;
  std::atomic<bool> ending_{false};

  // The control thread.
  std::list<Client> clients_;
  MonotonicTime nextTick_{};
  bool acceptPaused_ = false;  // out of descriptors: until the next tick

  std::thread thread_;  // last: it uses everything above
};

/// While it exists, info and statistics come from `engine`, which must outlive it.
class EngineWatch {
 public:
  EngineWatch(ControlServer& server, const api::EngineClient& engine)
      : board_(server.board_) {
    board_.watch(&engine);
  }
  ~EngineWatch() { board_.watch(nullptr); }
  EngineWatch(const EngineWatch&) = delete;
  EngineWatch& operator=(const EngineWatch&) = delete;

 private:
  EngineBoard& board_;
};

}  // namespace tandem::control
