// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/tools/local_engine.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "engine/base/thread_name.h"
#include "engine/comm/loopback_communicator.h"
#include "engine/comm/loopback_peer_channel.h"
#include "engine/comm/solo_communicator.h"
#include "engine/runtime/worker.h"
#include "engine/tools/engine_options.h"
#include "engine/tools/plan_cache.h"

namespace tandem::tools {

namespace {

// Any number will do: no other start of the engine can reach these channels.
constexpr std::uint64_t kEpoch = 1;

}  // namespace

Result<std::unique_ptr<LocalEngine>> LocalEngine::start(api::EngineConfig config,
                                                        const ModelFactory& loadModel,
                                                        Logger& logger) {
  std::unique_ptr<LocalEngine> engine(new LocalEngine(std::move(config), logger));
  if (const Result<void> up = engine->bringUp(loadModel); !up) {
    return up.error();
  }
  return engine;
}

LocalEngine::~LocalEngine() {
  core_.reset();
  if (channel0_) {
    channel0_->goodbye();
  }
  // Rank 1 may be waiting in a collective for a rank 0 that failed to load.
  communicators_.clear();
  if (rank1_.joinable()) {
    rank1_.join();
  }
}

Result<void> LocalEngine::bringUp(const ModelFactory& loadModel) {
  Result<ModelFolder> folder = inspectModelFolder(config_.modelFolder);
  if (!folder) {
    return folder.error();
  }
  folder_ = std::move(*folder);
  config_.contextTokens =
      config_.contextTokens > 0 ? config_.contextTokens : folder_.maxContextTokens;
  if (config_.threads == 0) {
    const int cores = static_cast<int>(std::thread::hardware_concurrency());
    config_.threads = std::max(1, cores / config_.ranks);
  }
  if (config_.ranks == 1) {
    communicators_.push_back(std::make_unique<comm::SoloCommunicator>());
  } else {
    communicators_ = comm::makeLoopbackCommunicators(config_.ranks);
    auto channels = comm::makeLoopbackPeerChannels(kEpoch);
    if (!channels) {
      return channels.error();
    }
    channel0_ = std::move((*channels)[0]);
    channel1_ = std::move((*channels)[1]);
    Result<std::unique_ptr<runtime::PeerRelay>> relay =
        runtime::PeerRelay::create(*channel0_, events_, logger_, memory_);
    if (!relay) {
      return relay.error();
    }
    relay_ = std::move(*relay);
    rank1_ = std::thread([this, &loadModel] { followAsRank1(loadModel); });
  }
  Result<LoadedModel> model =
      loadModel(ModelRequest{config_, *communicators_[0], events_, logger_});
  // Whatever comes of rank 0's share, rank 1 has `loadModel` on loan until it has loaded.
  const Result<void> rank1 = relay_ ? relay_->waitUntilLoaded(-1) : Result<void>();
  if (!model) {
    return model.error();
  }
  if (!rank1) {
    return rank1;
  }
  model_ = std::move(*model);
  runtime::EngineCoreOptions options;
  options.scheduler = schedulerLimits(config_);
  options.keepPrefixes = config_.prefixCache;
  options.memoryGuard = config_.memoryGuard;
  Result<std::unique_ptr<runtime::EngineCore>> core =
      runtime::EngineCore::create(options, memory_, logger_, events_);
  if (!core) {
    return core.error();
  }
  core_ = std::move(*core);
  runner_ = std::make_unique<runtime::LockstepRunner>(*model_.model, channel0_.get());
  const Result<CachePlan> plan = planCache(config_, *model_.model, memory_, config_.ranks);
  if (!plan) {
    return plan.error();
  }
  if (const Result<void> made = runner_->createCache(plan->settings); !made) {
    return made;
  }
  api::EngineInfo info;
  info.modelName = folder_.name;
  info.contextTokens = config_.contextTokens;
  info.vocabSize = model_.model->vocabSize();
  info.ranks = config_.ranks;
  info.backend = model_.backend;
  info.numerics = numericsName(config_.numerics);
  info.fingerprint = folder_.fingerprint;
  core_->start(*runner_, std::move(info), nullptr);
  core_->announceReady({});
  return {};
}

void LocalEngine::followAsRank1(const ModelFactory& loadModel) {
  nameThisThread("rank 1");
  const std::unique_ptr<comm::Communicator> communicator = std::move(communicators_[1]);
  const std::unique_ptr<comm::PeerChannel> channel = std::move(channel1_);
  const auto follow = [&]() -> Result<void> {
    api::EngineConfig config = config_;
    config.rank = 1;
    const Result<LoadedModel> loaded =
        loadModel(ModelRequest{config, *communicator, events_, logger_});
    if (!loaded) {
      return loaded.error();
    }
    return runtime::Worker(*channel, *loaded->model, logger_).run();
  };
  if (const Result<void> ended = follow(); !ended) {
    channel->goodbye(ended.error());
  }
}

}  // namespace tandem::tools
