// SPDX-License-Identifier: GPL-3.0-or-later
// DeepSeek-V4: the whole forward pass of one rank.
#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <vector>

#include "engine/comm/communicator.h"
#include "engine/kernels/numerics.h"
#include "engine/kernels/operators.h"
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
  std::int64_t maxStepTokens = 256;  // rows of one forward(), over all chunks
};

/// The tokens that follow those of a chunk, for the MTP module.
struct DraftChunk {
  std::span<const TokenId> nextTokens;  // nextTokens[i] follows tokens[i]; may end one early
  std::int64_t logitRows = 0;           // draft logits of the last `logitRows` of them are wanted
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
  [[nodiscard]] std::int64_t mtpModules() const { return weights_.mtpModules(); }
  [[nodiscard]] std::int64_t vocabSize() const override { return config_.vocabSize; }
  [[nodiscard]] std::int64_t maxContextTokens() const override {
    return config_.maxPositionEmbeddings;
  }
  [[nodiscard]] std::uint64_t weightBytes() const override { return weights_.bytes(); }

  Result<std::unique_ptr<SequenceState>> newSequence(std::int64_t maxTokens) override;

  Result<void> forward(std::span<const SequenceChunk> chunks, std::span<float> logits) override;

  /// As forward(), and runs the first MTP module on rows whose next token is known.
  ///
  /// drafts       one a chunk. The rows must follow those of earlier calls without a gap.
  /// draftLogits  [Σ DraftChunk::logitRows, vocabSize()]: row i predicts the token after
  /// nextTokens[i] Fails        also InvalidArgument for a checkpoint without MTP module, or a gap
  Result<void> forwardWithDrafts(std::span<const SequenceChunk> chunks,
                                 std::span<const DraftChunk> drafts,
                                 std::span<float> logits,
                                 std::span<float> draftLogits);

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

  Result<void> check(std::span<const SequenceChunk> chunks,
                     std::span<const DraftChunk> drafts) const;
  void layOutRows(std::span<const SequenceChunk> chunks);
  Result<void> runDrafts(std::span<const DraftChunk> drafts, std::span<float> draftLogits);
  [[nodiscard]] Step makeStep() const;

  ModelConfig config_;
  WeightSet weights_;
  ModelOptions options_;
  comm::Communicator& communicator_;
  std::unique_ptr<kernels::Operators> operators_;
  std::vector<TransformerBlock> blocks_;
  std::vector<MtpModule> mtp_;
  Vocabulary vocabulary_;
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
