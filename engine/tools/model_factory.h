// SPDX-License-Identifier: GPL-3.0-or-later
// The one seam between the commands and the model: who is asked for this rank's part of it.
#pragma once

#include <functional>
#include <memory>

#include "engine/api/engine_config.h"
#include "engine/api/event_sink.h"
#include "engine/base/log.h"
#include "engine/base/result.h"
#include "engine/comm/communicator.h"
#include "engine/model/language_model.h"

namespace tandem::tools {

/// What loading needs. Everything referred to must outlive the model.
struct ModelRequest {
  const api::EngineConfig& config;  // folder, numerics, back end, threads, context
  comm::Communicator& communicator;
  api::EventSink& events;  // gets the phases weights and mtp of this rank
  Logger& logger;
  std::function<bool()> cancelled = nullptr;  // asked while loading: true ends it; may be null
};

struct LoadedModel {
  std::unique_ptr<model::LanguageModel> model;
  std::string backend;  // what was chosen, and why if it was not asked for: "cpu (no GPU here)"
};

using ModelFactory = std::function<Result<LoadedModel>(const ModelRequest&)>;

}  // namespace tandem::tools
