// SPDX-License-Identifier: GPL-3.0-or-later
// DeepSeek-V4: the whole forward pass of one rank.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "engine/comm/communicator.h"
#include "engine/kernels/numerics.h"
#include "engine/kernels/operators.h"
#include "engine/kvcache/kv_cache.h"
#include "engine/model/drafter.h"
#include "engine/model/language_model.h"
#include "engine/model/load_observer.h"
#include "engine/model/mtp_module.h"
#include "engine/model/transformer_block.h"
#include "engine/model/vocabulary.h"
#include "engine/model/weight_loader.h"

namespace tandem::model {

enum class Backend { Reference, Cpu };

struct ModelOptions {
  Backend backend = Backend::Cpu;
  kernels::Numerics numerics = kernels::Numerics::Cache;
  int threads = 1;                   // of the CPU back end
  std::int64_t maxStepTokens = 256;  // rows of one forward(), over all chunks, drafts included
};

/// Owns the weights, the back end and the scratch of one rank; uses the caller's communicator.
class DeepseekV4 final : public LanguageModel {
 public:
  /// Loads this rank's share from `folder`: config.json and safetensors.
  ///
  /// communicator  must outlive the model; its rank and size say which share
  /// observer      may be null
  /// Fails         as readModelConfig and loadWeights; InvalidArgument when `act` numerics meet a
  ///               width that is no multiple of 128
  static Result<std::unique_ptr<DeepseekV4>> load(const std::filesystem::path& folder,
                                                  const ModelOptions& options,
                                                  comm::Communicator& communicator,
                                                  LoadObserver* observer);

  [[nodiscard]] const ModelConfig& config() const { return config_; }
  [[nodiscard]] std::int64_t vocabSize() const override { return config_.vocabSize; }
  [[nodiscard]] std::int64_t maxContextTokens() const override {
    return config_.maxPositionEmbeddings;
  }
  [[nodiscard]] std::uint64_t weightBytes() const override { return weights_.bytes(); }

  [[nodiscard]] bool hasMtp() const override { return !mtp_.empty(); }
  [[nodiscard]] kvcache::CacheShape cacheShape(const CacheSettings& settings) const override;

  /// Also fails with InvalidArgument for drafts that the cache or the checkpoint has nothing for.
  Result<void> forward(kvcache::KvCache& cache,
                       std::span<const SequenceChunk> chunks,
                       const StepResults& results) override;

  /// One layer alone on given streams [tokens, M * D], in place, from an empty sequence. For tests
  /// that follow the oracle block by block.
  Result<LayerTrace> forwardLayer(std::int64_t layer,
                                  std::span<const TokenId> tokens,
                                  std::span<float> streams);

 private:
  DeepseekV4(ModelConfig config,
             WeightSet weights,
             const ModelOptions& options,
             comm::Communicator& communicator);

  Result<void> check(const kvcache::KvCache& cache, std::span<const SequenceChunk> chunks) const;
  Result<void> checkChunk(const kvcache::KvCache& cache, const SequenceChunk& chunk) const;
  void layOutRows(std::span<const SequenceChunk> chunks, std::span<const TokenId> drafts);
  Result<void> writeLogits(const Step& step,
                           std::span<const SequenceChunk> chunks,
                           kernels::Matrix<const float> streams,
                           kernels::Matrix<float> logits);
  [[nodiscard]] Step makeStep(kvcache::KvCache& cache) const;

  ModelConfig config_;
  WeightSet weights_;
  ModelOptions options_;
  comm::Communicator& communicator_;
  std::unique_ptr<kernels::Operators> operators_;
  std::vector<TransformerBlock> blocks_;
  std::vector<MtpModule> mtp_;
  Vocabulary vocabulary_;
  std::optional<Drafter> drafter_;  // with an MTP module
  kernels::HyperConnectionWeights hyperHead_;
  std::vector<float> norm_;

  // Rows of the step in hand.
  std::vector<TokenId> tokens_;
  std::vector<std::int64_t> positions_;
  std::vector<RowRange> ranges_;
  Scratch streams_;
  Scratch collapsed_;
  Scratch wantedStreams_;
  Scratch embedded_;
};

}  // namespace tandem::model
