// SPDX-License-Identifier: GPL-3.0-or-later
// A whole engine inside one process, its ranks as threads: for commands that need no server.
#pragma once

#include <memory>
#include <thread>
#include <vector>

#include "engine/api/engine_config.h"
#include "engine/base/log.h"
#include "engine/comm/communicator.h"
#include "engine/comm/peer_channel.h"
#include "engine/runtime/engine_core.h"
#include "engine/runtime/memory_board.h"
#include "engine/runtime/peer_relay.h"
#include "engine/tools/event_log.h"
#include "engine/tools/model_factory.h"
#include "engine/tools/model_folder.h"

namespace tandem::tools {

/// The same EngineCore, Worker and plans as two processes have, over loopback.
class LocalEngine {
 public:
  /// Loads every rank and is Ready. `logger` must outlive it.
  /// Fails    as inspectModelFolder() and loadModel().
  static Result<std::unique_ptr<LocalEngine>> start(api::EngineConfig config,
                                                    const ModelFactory& loadModel,
                                                    Logger& logger);
  ~LocalEngine();
  LocalEngine(const LocalEngine&) = delete;
  LocalEngine& operator=(const LocalEngine&) = delete;

  [[nodiscard]] api::EngineClient& client() { return *core_; }
  [[nodiscard]] const ModelFolder& folder() const { return folder_; }

 private:
  LocalEngine(api::EngineConfig config, Logger& logger)
      : config_(std::move(config)),
        logger_(logger),
        events_(logger),
        memory_(config_.ranks) {}

  Result<void> bringUp(const ModelFactory& loadModel);
  void followAsRank1(const ModelFactory& loadModel);

  api::EngineConfig config_;
  Logger& logger_;
  EventLog events_;
  runtime::MemoryBoard memory_;
  ModelFolder folder_;
  std::vector<std::unique_ptr<comm::Communicator>> communicators_;
  std::unique_ptr<comm::PeerChannel> channel0_;
  std::unique_ptr<comm::PeerChannel> channel1_;
  LoadedModel model_;
  std::unique_ptr<runtime::PeerRelay> relay_;
  std::unique_ptr<runtime::LockstepRunner> runner_;
  std::unique_ptr<runtime::EngineCore> core_;
  std::thread rank1_;
};

}  // namespace tandem::tools
