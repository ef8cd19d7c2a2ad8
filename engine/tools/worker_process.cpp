// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/tools/worker_process.h"

#include <fmt/core.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

#include "engine/base/clock.h"
#include "engine/base/event_fd.h"
#include "engine/base/thread_name.h"
#include "engine/comm/peer_connection.h"
#include "engine/comm/socket_communicator.h"
#include "engine/control/log_file_writer.h"
#include "engine/runtime/peer_messages.h"
#include "engine/runtime/peer_sinks.h"
#include "engine/runtime/phase_scope.h"
#include "engine/runtime/worker.h"
#include "engine/tools/command.h"
#include "engine/tools/model_folder.h"
#include "engine/tools/plan_cache.h"
#include "engine/tools/stop_signals.h"
#include "engine/tools/version.h"

namespace tandem::tools {

namespace {

using namespace std::chrono_literals;

constexpr auto kConnectPatience = 60s;
constexpr auto kHelloPatience = 10s;
constexpr auto kMemoryInterval = 1s;

/// Turns a stop signal into the end of every wait for rank 0, while the main thread is in a step.
class SignalWatch {
 public:
  SignalWatch(const StopSignals& signals, const EventFd& done, comm::PeerChannel& channel)
      : done_(done),
        thread_([&signals, &done, &channel] {
          nameThisThread("signals");
          std::array<pollfd, 2> entries{pollfd{signals.fd(), POLLIN, 0},
                                        pollfd{done.fd(), POLLIN, 0}};
          ::poll(entries.data(), entries.size(), -1);
          if (entries[0].revents != 0) {
            const Error asked{ErrorCode::Cancelled, "rank 1 was asked to stop", ""};
            channel.goodbye(asked);
            channel.health()->fail(asked);
          }
        }) {}
  ~SignalWatch() {
    done_.raise();
    thread_.join();
  }
  SignalWatch(const SignalWatch&) = delete;
  SignalWatch& operator=(const SignalWatch&) = delete;

 private:
  const EventFd& done_;
  std::thread thread_;
};

Result<runtime::EpochHello> awaitHello(comm::PeerChannel& channel) {
  const Result<std::optional<comm::PeerMessage>> message = channel.receive(kHelloPatience);
  if (!message) {
    return message.error();
  }
  if (!message->has_value() || (*message)->type != runtime::peer_message::kHello) {
    return Error{ErrorCode::Timeout, "rank 0 did not say what to load", "Look at its log."};
  }
  return runtime::decodeHello((*message)->payload);
}

/// What rank 0 told, over what this process was told.
api::EngineConfig obey(api::EngineConfig config, const runtime::EpochHello& hello) {
  config.rank = 1;
  config.ranks = hello.ranks;
  config.numerics = hello.numerics;
  config.backend = hello.backend;
  config.contextTokens = hello.contextTokens;
  config.prefillChunkTokens = hello.prefillChunkTokens;
  config.maxSequences = hello.maxSequences;
  config.threads = hello.threads > 0
                       ? hello.threads
                       : std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  return config;
}

Result<void> checkFolder(const api::EngineConfig& config,
                         const runtime::EpochHello& hello,
                         api::EventSink& events) {
  runtime::PhaseScope phase(events, api::Phase::Validate, 1);
  const Result<ModelFolder> folder = inspectModelFolder(config.modelFolder);
  if (!folder) {
    return phase.fail(folder.error());
  }
  if (folder->fingerprint != hello.modelFingerprint) {
    return phase.fail(Error{ErrorCode::InvalidArgument,
                            fmt::format("{} on rank 1 holds another model than rank 0's folder "
                                        "(fingerprint {:.8}, rank 0 has {:.8})",
                                        config.modelFolder.string(),
                                        folder->fingerprint,
                                        hello.modelFingerprint),
                            "Copy rank 0's model folder to this node."});
  }
  phase.end(folder->name);
  return {};
}

/// Rank 1's share of the start and of the work, once the ranks are connected.
Result<void> loadAndFollow(const api::EngineConfig& told,
                           comm::PeerChannel& channel,
                           FileDescriptor data,
                           api::EventSink& events,
                           Logger& logger,
                           const ModelFactory& loadModel) {
  const Result<runtime::EpochHello> hello = awaitHello(channel);
  if (!hello) {
    return hello.error();
  }
  const api::EngineConfig config = obey(told, *hello);
  if (const Result<void> same = checkFolder(config, *hello, events); !same) {
    return same;
  }
  comm::SocketCommunicator communicator(std::move(data), 1, channel.health());
  // The health fails on a stop signal here, and when rank 0 stops or is lost.
  const std::shared_ptr<comm::PeerHealth> health = channel.health();
  const auto cancelled = [&health] { return health->failed(); };
  const Result<LoadedModel> loaded =
      loadModel(ModelRequest{config, communicator, events, logger, cancelled});
  if (!loaded) {
    const std::optional<Error> why = health->failure();
    if (loaded.error().code != ErrorCode::Cancelled || !why) {
      return loaded.error();
    }
    // Cancelled: somebody asked for the end, so this is one in order.
    return why->code == ErrorCode::Cancelled ? Result<void>() : Result<void>(*why);
  }
  return runtime::Worker(channel,
                         *loaded->model,
                         logger,
                         kMemoryInterval,
                         diskCacheOptions(config, hello->modelFingerprint, loaded->backend))
      .run();
}

/// Rank 1 can only tell of the connecting once it is connected.
void reportConnect(api::EventSink& events, std::int64_t beganNs, std::int64_t beganWallMs) {
  api::PhaseEvent event;
  event.phase = api::Phase::Connect;
  event.rank = 1;
  event.monotonicNs = beganNs;
  event.wallMs = beganWallMs;
  events.phase(event);
  event.kind = api::PhaseEventKind::End;
  event.monotonicNs = monotonicNanoseconds();
  event.wallMs = wallMilliseconds();
  events.phase(event);
}

/// `told` becomes true once rank 0 knows of the failure.
Result<void> work(const api::EngineConfig& config,
                  const StopSignals& signals,
                  Logger& logger,
                  const ModelFactory& loadModel,
                  bool& told) {
  const Result<comm::PeerSecret> secret = comm::PeerSecret::load(config.peer.secretFile);
  if (!secret) {
    return secret.error();
  }
  const Result<EventFd> done = EventFd::create();
  if (!done) {
    return done.error();
  }
  const comm::PeerCredentials credentials{&*secret, kVersion, {}};
  const std::int64_t beganNs = monotonicNanoseconds();
  const std::int64_t beganWallMs = wallMilliseconds();
  const comm::WaitLimit limit{std::chrono::steady_clock::now() + kConnectPatience, signals.fd()};
  Result<comm::PeerConnection> connection =
      comm::connectToRank0(config.peer.host, config.peer.port, credentials, limit);
  if (!connection) {
    return connection.error();
  }
  // Shared with the logger, whose last lines still go to rank 0.
  const std::shared_ptr<comm::PeerChannel> channel = std::move(connection->channel);
  logger.addSink(std::make_unique<runtime::PeerLogSink>(channel));
  runtime::PeerEventSink events(*channel);
  reportConnect(events, beganNs, beganWallMs);
  const SignalWatch watch(signals, *done, *channel);
  Result<void> ended =
      loadAndFollow(config, *channel, std::move(connection->data), events, logger, loadModel);
  if (!ended) {
    told = !channel->health()->failed();
    channel->goodbye(ended.error());
  }
  return ended;
}

}  // namespace

int runWorker(const api::EngineConfig& config, WorkerLog log, const ModelFactory& loadModel) {
  const Result<StopSignals> signals = StopSignals::create();
  Logger logger(1);
  if (log == WorkerLog::Stderr) {
    logger.addSink(std::make_unique<StderrLogSink>());
  }
  Result<std::unique_ptr<control::LogFileWriter>> logFile =
      std::unique_ptr<control::LogFileWriter>();
  if (!config.logFolder.empty()) {
    logFile = control::LogFileWriter::create(control::LogFile(config.logFolder / "engine-1.jsonl"),
                                             logger);
  }
  if (!logFile) {
    fmt::print(stderr, "tandem-engine worker: {}\n", logFile.error().text());
    return kExitFatal;
  }
  bool told = false;
  const Result<void> ended =
      signals ? work(config, *signals, logger, loadModel, told) : Result<void>(signals.error());
  const bool asked = !ended && ended.error().code == ErrorCode::Cancelled && signals->pending();
  if (ended || asked) {
    return kExitOk;
  }
  // Rank 0 prints what it was told; beside it on one terminal the same line twice would confuse.
  if (!told || log == WorkerLog::Stderr) {
    fmt::print(stderr, "tandem-engine worker: {}\n", ended.error().text());
  }
  return kExitFatal;
}

}  // namespace tandem::tools
