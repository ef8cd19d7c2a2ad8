// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/tools/load_model.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "engine/base/byte_size.h"
#include "engine/base/clock.h"
#include "engine/model/deepseek_v4.h"
#include "engine/runtime/draft_policy.h"
#include "engine/runtime/phase_scope.h"

namespace tandem::tools {

namespace {

// A step may hold a prefill chunk and a decode row of every running sequence; the self-test's
// prompt must fit however small the chunk is.
constexpr std::int64_t kSmallestStep = 64;

// Loading reports every few MiB; a person sees ten steps a second.
constexpr std::chrono::milliseconds kProgressInterval{100};

/// Passes progress on to the phase, and notices to the log.
class LoadProgress final : public model::LoadObserver {
 public:
  LoadProgress(runtime::PhaseScope& phase, const ModelRequest& request)
      : phase_(phase),
        request_(request) {}

  void onBytes(std::uint64_t bytesDone,
               std::uint64_t bytesTotal,
               const std::string& file) override {
    const MonotonicTime now = std::chrono::steady_clock::now();
    if (now >= nextReport_ || bytesDone == bytesTotal) {
      nextReport_ = now + kProgressInterval;
      phase_.progress(bytesDone, bytesTotal, file);
    }
  }

  void onNotice(const std::string& text) override {
    request_.logger.warning("weights", "{}", text);
  }

  [[nodiscard]] bool wantsEnd() const override {
    return request_.cancelled != nullptr && request_.cancelled();
  }

 private:
  runtime::PhaseScope& phase_;
  const ModelRequest& request_;
  MonotonicTime nextReport_;
};

}  // namespace

kernels::Numerics kernelNumerics(api::Numerics numerics) {
  switch (numerics) {
    case api::Numerics::Exact:
      return kernels::Numerics::Exact;
    case api::Numerics::Cache:
      return kernels::Numerics::Cache;
    case api::Numerics::Act:
      return kernels::Numerics::Act;
  }
  return kernels::Numerics::Cache;
}

Result<LoadedModel> loadModel(const ModelRequest& request) {
  const api::EngineConfig& config = request.config;
  const int rank = request.communicator.rank();
  runtime::PhaseScope weights(request.events, api::Phase::Weights, rank);
  if (config.backend == api::BackendChoice::Cuda) {
    return weights.fail(Error{ErrorCode::Unavailable,
                              "the CUDA back end cannot run a model yet",
                              "Use --backend cpu."});
  }
  model::ModelOptions options;
  options.backend = config.backend == api::BackendChoice::Reference ? model::Backend::Reference
                                                                    : model::Backend::Cpu;
  options.numerics = kernelNumerics(config.numerics);
  options.threads = std::max(1, config.threads);
  options.maxStepTokens = std::max<std::int64_t>(config.prefillChunkTokens, kSmallestStep) +
                          std::int64_t{config.maxSequences} * (1 + runtime::kMostDrafts);
  LoadProgress progress(weights, request);
  Result<std::unique_ptr<model::DeepseekV4>> model =
      model::DeepseekV4::load(config.modelFolder, options, request.communicator, &progress);
  if (!model) {
    return weights.fail(model.error());
  }
  weights.end();
  if (!(*model)->hasMtp()) {
    runtime::skipPhase(request.events, api::Phase::Mtp, rank, "the checkpoint has no MTP module");
  } else {
    runtime::PhaseScope mtp(request.events, api::Phase::Mtp, rank);
    mtp.end("read with the weights");
  }
  LoadedModel loaded;
  loaded.backend = options.backend == model::Backend::Reference ? "reference" : "cpu";
  loaded.model = std::move(*model);
  return loaded;
}

}  // namespace tandem::tools
