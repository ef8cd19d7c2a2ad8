// SPDX-License-Identifier: GPL-3.0-or-later
// The public boundary of the engine: submit, cancel, stats. The server sees nothing else of it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "engine/api/engine_stats.h"
#include "engine/api/output_queue.h"
#include "engine/api/token_request.h"
#include "engine/base/result.h"

namespace tandem::api {

/// What never changes while an engine is ready.
struct EngineInfo {
  std::string modelName;           // the folder's name, unless configured otherwise
  std::int64_t contextTokens = 0;  // prompt and answer together
  std::int64_t vocabSize = 0;
  int ranks = 1;
  std::string backend;      // "cpu", "cuda", "reference"
  std::string numerics;     // "exact", "cache", "act"
  std::string fingerprint;  // build and weights, for system_fingerprint
};

/// EngineCore implements it, tests fake it. Any thread may call; no call waits for the model.
class EngineClient {
 public:
  virtual ~EngineClient() = default;

  /// Queues a request; its output arrives in the returned queue until a piece has `finish`.
  ///
  /// Fails    InvalidArgument when a token id is outside the vocabulary or the prompt is empty;
  ///          OutOfRange when the prompt does not fit the context;
  ///          Unavailable when the queue is full, or the engine is not Ready (loading, draining).
  virtual Result<std::shared_ptr<OutputQueue>> submit(TokenRequest request) = 0;

  /// Ends a request soon: its queue gets a piece with Cancelled. Unknown ids are ignored.
  virtual void cancel(const std::string& requestId) = 0;

  [[nodiscard]] virtual EngineState state() const = 0;
  [[nodiscard]] virtual EngineInfo info() const = 0;

  /// The newest snapshot; never null.
  [[nodiscard]] virtual std::shared_ptr<const EngineStats> stats() const = 0;
};

}  // namespace tandem::api
