// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/tools/head_process.h"

#include <fmt/core.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "engine/base/byte_size.h"
#include "engine/base/clock.h"
#include "engine/comm/metered_communicator.h"
#include "engine/comm/peer_connection.h"
#include "engine/comm/socket_communicator.h"
#include "engine/comm/solo_communicator.h"
#include "engine/control/control_server.h"
#include "engine/control/log_file_writer.h"
#include "engine/runtime/engine_core.h"
#include "engine/runtime/peer_messages.h"
#include "engine/runtime/peer_relay.h"
#include "engine/runtime/phase_scope.h"
#include "engine/runtime/self_test.h"
#include "engine/server/api_routes.h"
#include "engine/server/http_server.h"
#include "engine/tokenizer/tokenizer.h"
#include "engine/tools/command.h"
#include "engine/tools/engine_options.h"
#include "engine/tools/event_log.h"
#include "engine/tools/local_worker.h"
#include "engine/tools/model_folder.h"
#include "engine/tools/plan_cache.h"
#include "engine/tools/start_phase_sink.h"
#include "engine/tools/stop_requests.h"
#include "engine/tools/version.h"

namespace tandem::tools {

namespace {

using namespace std::chrono_literals;

constexpr auto kConnectPatience = 60s;
constexpr auto kDrainPatience = 20s;
constexpr auto kStreamGrace = 500ms;  // for open answers to get their last bytes out
constexpr auto kWorkerPatience = 5s;  // after a goodbye; it may still write to its disk cache
constexpr auto kObituaryPatience = 200ms;

std::chrono::milliseconds drainPatience(const StopRequest& stop) {
  if (!stop.drainSeconds) {
    return kDrainPatience;
  }
  return std::chrono::duration_cast<std::chrono::milliseconds>(
      std::chrono::duration<double>(*stop.drainSeconds));
}

/// A local worker keeps its prefixes beside those of this rank.
std::vector<std::string> cacheFolderWords(const api::EngineConfig& config) {
  if (config.cacheFolder.empty() || !config.prefixCache) {
    return {};
  }
  return {"--cache-folder",
          config.cacheFolder.string(),
          "--cache-disk-gib",
          fmt::format("{}", config.cacheDiskGib)};
}

/// Everything an engine's rank 0 owns, in the order it is taken down from the end.
class Head {
 public:
  Head(const api::EngineConfig& config, StopRequests& stops)
      : config_(config),
        stops_(stops),
        logger_(0),
        memory_(config.ranks) {
    logger_.addSink(std::make_unique<StderrLogSink>());
  }

  /// Up to Ready. Fails with Cancelled when somebody asked for a stop first.
  Result<void> start(const ModelFactory& loadModel);

  /// Serves until the end. Gives the fatal error, if that was the end.
  std::optional<Error> serve();

  /// Takes everything down; with an error rank 1 is told it.
  void stop(const std::optional<Error>& error);

 private:
  Result<void> openControl();
  Result<void> openLogFile();
  Result<void> createCore();
  Result<void> openFolder();
  Result<void> listen();
  Result<void> connect();
  Result<void> validate();
  Result<void> loadWeights(const ModelFactory& loadModel);
  Result<void> makeCache();
  void openDiskCache();
  Result<void> testModel();
  Result<void> openApi();
  Result<void> stopRequested() const;
  std::optional<Error> withObituary(std::optional<Error> failure);

  [[nodiscard]] bool startsWorker() const { return config_.ranks > 1 && config_.peer.host.empty(); }

  api::EngineConfig config_;
  StopRequests& stops_;
  const std::int64_t startedWallMs_ = wallMilliseconds();
  Logger logger_;
  std::unique_ptr<control::LogFileWriter> logFile_;
  std::unique_ptr<control::ControlServer> control_;
  std::optional<EventLog> log_;
  runtime::MemoryBoard memory_;
  runtime::FetchBoard fetches_;

  ModelFolder folder_;
  std::optional<tokenizer::Tokenizer> tokenizer_;
  std::unique_ptr<PrivateFolder> secretFolder_;
  std::unique_ptr<LocalWorker> worker_;
  std::unique_ptr<comm::PeerChannel> channel_;
  std::unique_ptr<runtime::PeerRelay> relay_;
  std::unique_ptr<comm::Communicator> communicator_;
  std::unique_ptr<comm::MeteredCommunicator> metered_;
  LoadedModel model_;
  std::unique_ptr<runtime::LockstepRunner> runner_;
  std::unique_ptr<runtime::EngineCore> core_;
  std::optional<control::EngineWatch> watch_;
  std::unique_ptr<StartPhaseSink> events_;
  std::unique_ptr<server::HttpServer> http_;
};

Result<void> Head::start(const ModelFactory& loadModel) {
  for (const auto step : {&Head::openControl,
                          &Head::openLogFile,
                          &Head::createCore,
                          &Head::openFolder,
                          &Head::listen,
                          &Head::connect,
                          &Head::validate}) {
    if (const Result<void> done = (this->*step)(); !done) {
      return done;
    }
  }
  if (const Result<void> loaded = loadWeights(loadModel); !loaded) {
    return loaded;
  }
  for (const auto step : {&Head::makeCache, &Head::testModel, &Head::openApi}) {
    if (const Result<void> wanted = stopRequested(); !wanted) {
      return wanted;
    }
    if (const Result<void> done = (this->*step)(); !done) {
      return done;
    }
  }
  return {};
}

Result<void> Head::stopRequested() const {
  if (stops_.pending()) {
    return Error{ErrorCode::Cancelled, "stopped during the start", ""};
  }
  return {};
}

/// The very first: whoever started this process can watch the whole start, its failure included.
Result<void> Head::openControl() {
  if (!config_.controlSocket.empty()) {
    control::ControlOptions options;
    options.socket = config_.controlSocket;
    options.identity = {kVersion, 0, startedWallMs_};
    Result<std::unique_ptr<control::ControlServer>> control = control::ControlServer::create(
        std::move(options),
        logger_,
        [this](const std::string& who, std::optional<double> drainSeconds) {
          stops_.ask({who, drainSeconds});
        });
    if (!control) {
      return control.error();
    }
    control_ = std::move(*control);
  }
  log_.emplace(logger_, control_.get());
  return {};
}

Result<void> Head::openLogFile() {
  if (!config_.logFolder.empty()) {
    Result<std::unique_ptr<control::LogFileWriter>> file =
        control::LogFileWriter::create(control::LogFile(config_.logFolder / "engine-0.jsonl"),
                                       logger_);
    if (!file) {
      return file.error();
    }
    logFile_ = std::move(*file);
  }
  return {};
}

Result<void> Head::createCore() {
  runtime::EngineCoreOptions options;
  options.scheduler = schedulerLimits(config_);
  options.keepPrefixes = config_.prefixCache;
  options.memoryGuard = config_.memoryGuard;
  Result<std::unique_ptr<runtime::EngineCore>> core =
      runtime::EngineCore::create(options, memory_, logger_, *log_);
  if (!core) {
    return core.error();
  }
  core_ = std::move(*core);
  events_ = std::make_unique<StartPhaseSink>(*core_, *log_);
  if (control_) {
    watch_.emplace(*control_, *core_);
  }
  return {};
}

/// Read first of all: rank 1 must be told what the folder holds, and the API's routes need the
/// tokenizer.
Result<void> Head::openFolder() {
  Result<ModelFolder> folder = inspectModelFolder(config_.modelFolder);
  if (!folder) {
    return runtime::PhaseScope(*events_, api::Phase::Validate, 0).fail(folder.error());
  }
  folder_ = std::move(*folder);
  if (config_.contextTokens == 0) {
    config_.contextTokens = folder_.maxContextTokens;
  }
  Result<tokenizer::Tokenizer> tokenizer = tokenizer::Tokenizer::load(config_.modelFolder);
  if (!tokenizer) {
    return runtime::PhaseScope(*events_, api::Phase::Validate, 0).fail(tokenizer.error());
  }
  tokenizer_ = std::move(*tokenizer);
  return {};
}

/// Before anything that takes long: a port in use fails at once, and until the engine is ready
/// clients are told to come back instead of being refused a connection.
Result<void> Head::listen() {
  const server::RouteContext context{*core_,
                                     *tokenizer_,
                                     logger_,
                                     tokenizer::ChatDialect::V4Flash,
                                     config_.defaultThinking};
  Result<std::unique_ptr<server::HttpServer>> http =
      server::HttpServer::start(config_.http,
                                server::ServerOptions{},
                                server::apiRouter(context),
                                logger_);
  if (!http) {
    return runtime::PhaseScope(*events_, api::Phase::Api, 0).fail(http.error());
  }
  http_ = std::move(*http);
  logger_.info("start", "answering at {} while the model loads", http_->endpoint());
  return {};
}

Result<void> Head::connect() {
  if (config_.threads == 0 && (config_.ranks == 1 || startsWorker())) {
    const int cores = static_cast<int>(std::thread::hardware_concurrency());
    config_.threads = std::max(1, cores / config_.ranks);
  }
  if (config_.ranks == 1) {
    runtime::skipPhase(*events_, api::Phase::Connect, 0, "one rank");
    communicator_ = std::make_unique<comm::SoloCommunicator>();
    metered_ = std::make_unique<comm::MeteredCommunicator>(*communicator_);
    return {};
  }
  runtime::PhaseScope phase(*events_, api::Phase::Connect, 0);
  if (startsWorker()) {
    Result<std::unique_ptr<PrivateFolder>> secretFolder = PrivateFolder::create();
    if (!secretFolder) {
      return phase.fail(secretFolder.error());
    }
    secretFolder_ = std::move(*secretFolder);
    config_.peer.secretFile = secretFolder_->path() / "peer.secret";
    if (const Result<void> made = comm::PeerSecret::createFile(config_.peer.secretFile); !made) {
      return phase.fail(made.error());
    }
  }
  Result<comm::PeerSecret> secret = comm::PeerSecret::load(config_.peer.secretFile);
  if (!secret) {
    return phase.fail(secret.error());
  }
  Result<comm::PeerListener> listener =
      startsWorker() ? comm::PeerListener::open("127.0.0.1", 0)
                     : comm::PeerListener::open(config_.peer.host, config_.peer.port);
  if (!listener) {
    return phase.fail(listener.error());
  }
  if (startsWorker()) {
    Result<std::unique_ptr<LocalWorker>> worker = LocalWorker::start(config_.modelFolder,
                                                                     listener->port(),
                                                                     config_.peer.secretFile,
                                                                     cacheFolderWords(config_));
    if (!worker) {
      return phase.fail(worker.error());
    }
    worker_ = std::move(*worker);
    logger_.info("start", "rank 1 is the local worker with pid {}", worker_->pid());
  }
  const comm::PeerCredentials credentials{&*secret, kVersion, {}};
  const comm::WaitLimit limit{std::chrono::steady_clock::now() + kConnectPatience, stops_.fd()};
  Result<comm::PeerConnection> connection = listener->accept(credentials, limit, logger_);
  if (!connection) {
    return phase.fail(connection.error());
  }
  // Nobody needs the secret of a local pair any more; whatever happens, it does not stay behind.
  secretFolder_.reset();
  channel_ = std::move(connection->channel);
  communicator_ = std::make_unique<comm::SocketCommunicator>(std::move(connection->data),
                                                             0,
                                                             channel_->health());
  metered_ = std::make_unique<comm::MeteredCommunicator>(*communicator_);
  Result<std::unique_ptr<runtime::PeerRelay>> relay =
      runtime::PeerRelay::create(*channel_, *log_, logger_, memory_, &fetches_);
  if (!relay) {
    return phase.fail(relay.error());
  }
  relay_ = std::move(*relay);
  const runtime::EpochHello hello{config_.ranks,
                                  config_.numerics,
                                  config_.backend,
                                  config_.threads,
                                  config_.contextTokens,
                                  config_.prefillChunkTokens,
                                  config_.maxSequences,
                                  folder_.fingerprint};
  if (const Result<void> sent =
          channel_->send(runtime::peer_message::kHello, runtime::encode(hello));
      !sent) {
    return phase.fail(sent.error());
  }
  phase.end(fmt::format("epoch {:x}", channel_->epoch()));
  return {};
}

Result<void> Head::validate() {
  runtime::PhaseScope phase(*events_, api::Phase::Validate, 0);
  if (config_.contextTokens > folder_.maxContextTokens) {
    return phase.fail(Error{ErrorCode::OutOfRange,
                            fmt::format("a context of {} tokens is asked for; the model has {}",
                                        config_.contextTokens,
                                        folder_.maxContextTokens),
                            "Choose a shorter context."});
  }
  phase.end(folder_.name);
  return {};
}

Result<void> Head::loadWeights(const ModelFactory& loadModel) {
  const auto cancelled = [this] {
    return stops_.pending() || (channel_ && channel_->health()->failed());
  };
  Result<LoadedModel> model =
      loadModel(ModelRequest{config_, *metered_, *events_, logger_, cancelled});
  if (!model) {
    return model.error();
  }
  model_ = std::move(*model);
  logger_.info("start", "back end {}, {}", model_.backend, numericsName(config_.numerics));
  return relay_ ? relay_->waitUntilLoaded(stops_.fd()) : Result<void>();
}

Result<void> Head::makeCache() {
  runtime::PhaseScope phase(*events_, api::Phase::Kv, 0);
  runner_ = std::make_unique<runtime::LockstepRunner>(*model_.model, channel_.get());
  const Result<CachePlan> plan =
      planCache(config_, *model_.model, memory_, startsWorker() ? config_.ranks : 1);
  if (!plan) {
    return phase.fail(plan.error());
  }
  if (const Result<void> made = runner_->createCache(plan->settings); !made) {
    return phase.fail(made.error());
  }
  phase.progress(runner_->local().cacheBytes(), runner_->local().cacheBytes());
  phase.end(plan->description);
  logger_.info("start", "KV cache: {}", plan->description);
  openDiskCache();
  runtime::skipPhase(*events_, api::Phase::Graphs, 0, "the CPU back ends record no graphs");
  return {};
}

/// An engine without it is slower, but it is one.
void Head::openDiskCache() {
  const std::optional<runtime::DiskCacheOptions> options =
      diskCacheOptions(config_, folder_.fingerprint, model_.backend);
  if (!options) {
    return;
  }
  if (const Result<void> opened = runner_->openDisk(*options, logger_, fetches_); !opened) {
    logger_.warning("cache", "goes on without its disk: {}", opened.error().text());
    return;
  }
  const kvcache::DiskUsage usage = runner_->disk()->counters().usage;
  logger_.info("start",
               "disk cache: {} records, {:.2f} of {:.2f} GiB in {}",
               usage.records,
               static_cast<double>(usage.bytes) / static_cast<double>(kGiB),
               static_cast<double>(usage.limitBytes) / static_cast<double>(kGiB),
               options->folder.string());
}

Result<void> Head::testModel() {
  runtime::PhaseScope phase(*events_, api::Phase::SelfTest, 0);
  const Result<std::string> tested = runtime::selfTest(*runner_, config_.contextTokens);
  if (!tested) {
    return phase.fail(channel_ ? channel_->health()->explain(tested.error()) : tested.error());
  }
  phase.end(*tested);
  return {};
}

Result<void> Head::openApi() {
  runtime::PhaseScope phase(*events_, api::Phase::Api, 0);
  api::EngineInfo info;
  info.modelName = folder_.name;
  info.contextTokens = config_.contextTokens;
  info.vocabSize = model_.model->vocabSize();
  info.ranks = config_.ranks;
  info.backend = model_.backend;
  info.numerics = numericsName(config_.numerics);
  info.fingerprint = fmt::format("{}-{}", kVersion, folder_.fingerprint.substr(0, 8));
  core_->start(*runner_, std::move(info), metered_.get());
  phase.end(http_->endpoint());
  core_->announceReady(http_->endpoint());
  return {};
}

std::optional<Error> Head::serve() {
  bool draining = false;
  while (true) {
    std::array<pollfd, 2> entries{pollfd{core_->endedFd(), POLLIN, 0},
                                  pollfd{stops_.fd(), POLLIN, 0}};
    if (::poll(entries.data(), entries.size(), -1) < 0 && errno == EINTR) {
      continue;
    }
    if (entries[0].revents != 0) {
      return withObituary(core_->failure());
    }
    if (entries[1].revents != 0) {
      const std::optional<StopRequest> stop = stops_.take();
      if (!stop) {
        continue;
      }
      // The second one is from somebody who does not want to wait for open answers.
      logger_.info("engine",
                   "{} asks for the end: {}",
                   stop->who,
                   draining ? "stopping now" : "draining");
      core_->drain(draining ? 0ms : drainPatience(*stop));
      draining = true;
    }
  }
}

/// A lost connection says little about a local worker; how its process ended says more.
std::optional<Error> Head::withObituary(std::optional<Error> failure) {
  if (failure && failure->code == ErrorCode::Unavailable && worker_) {
    const std::string end = worker_->waitForEnd(kObituaryPatience);
    if (end.starts_with("signal")) {
      failure->message = fmt::format("rank 1 is lost: the local worker (pid {}) ended with {}",
                                     worker_->pid(),
                                     end);
      failure->remedy =
          "Somebody ended it, or the kernel did for lack of memory (dmesg says so). Start the "
          "engine again.";
    } else if (!end.empty()) {
      failure->message += fmt::format(" (the local worker ended with {})", end);
    }
  }
  return failure;
}

void Head::stop(const std::optional<Error>& error) {
  if (error && core_) {
    core_->fail(*error);
  } else if (core_) {
    core_->drain(0s);
  } else if (log_ && error) {
    log_->state({api::EngineState::Failed, wallMilliseconds(), {}, error});
  }
  if (http_) {
    http_->stop(kStreamGrace);
    http_.reset();
  }
  if (channel_) {
    channel_->goodbye(error);
  }
  watch_.reset();
  core_.reset();
  // After a failure it is killed at once: what is left of it may hold a port or the memory. So is
  // one that is not connected yet and could hear no goodbye.
  if (worker_ && channel_ && !error && worker_->waitForEnd(kWorkerPatience).empty()) {
    logger_.warning("engine",
                    "the worker did not end in {} s and is killed",
                    kWorkerPatience.count());
  }
}

}  // namespace

int runHead(const api::EngineConfig& config, const ModelFactory& loadModel) {
  const Result<std::unique_ptr<StopRequests>> stops = StopRequests::create();
  if (!stops) {
    fmt::print(stderr, "tandem-engine serve: {}\n", stops.error().text());
    return kExitFatal;
  }
  Head head(config, **stops);
  std::optional<Error> failure;
  if (const Result<void> started = head.start(loadModel); !started) {
    failure = started.error();
  } else {
    failure = head.serve();
  }
  if (failure && failure->code == ErrorCode::Cancelled && (*stops)->pending()) {
    failure.reset();
  }
  head.stop(failure);
  if (failure) {
    fmt::print(stderr, "tandem-engine serve: {}\n", failure->text());
    return kExitFatal;
  }
  return kExitOk;
}

}  // namespace tandem::tools
