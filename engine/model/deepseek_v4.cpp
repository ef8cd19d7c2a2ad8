// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/model/deepseek_v4.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <numeric>
#include <utility>

#include "engine/kernels/cpu/cpu_operators.h"
#include "engine/kernels/reference/reference_operators.h"

namespace tandem::model {

namespace {

std::unique_ptr<kernels::Operators> makeOperators(const ModelOptions& options) {
  switch (options.backend) {
    case Backend::Reference:
      return std::make_unique<kernels::ReferenceOperators>();
    case Backend::Cpu:
      return std::make_unique<kernels::CpuOperators>(std::max(options.threads, 1));
  }
  return nullptr;
}

/// Activations are rounded in whole groups of 128, also those a rank holds a slice of.
Result<void> checkActGroups(const ModelConfig& c, int ranks) {
  const std::array<std::pair<const char*, std::int64_t>, 4> widths{{
      {"hidden_size", c.hiddenSize},
      {"q_lora_rank", c.qLoraRank},
      {"o_groups * o_lora_rank per rank", c.oGroups * c.oLoraRank / ranks},
      {"moe_intermediate_size per rank", c.moeIntermediateSize / ranks},
  }};
  for (const auto& [name, width] : widths) {
    if (width % kernels::WeightMatrix::kFp8Block != 0) {
      return Error{ErrorCode::InvalidArgument,
                   fmt::format("{} is {}, and numerics 'act' rounds groups of 128", name, width),
                   "Use numerics 'cache'."};
    }
  }
  return {};
}

kernels::Matrix<float> rowsOf(std::span<float> memory, std::int64_t cols) {
  return {memory.data(), static_cast<std::int64_t>(memory.size()) / cols, cols};
}

}  // namespace

Result<std::unique_ptr<DeepseekV4>> DeepseekV4::load(const std::filesystem::path& folder,
                                                     const ModelOptions& options,
                                                     comm::Communicator& communicator,
                                                     LoadObserver* observer) {
  Result<ModelConfig> config = readModelConfig(folder);
  if (!config) {
    return config.error();
  }
  if (options.numerics == kernels::Numerics::Act) {
    if (Result<void> fits = checkActGroups(*config, communicator.size()); !fits) {
      return fits.error();
    }
  }
  Result<WeightSet> weights = loadWeights(folder,
                                          *config,
                                          comm::ShardSpec{communicator.rank(), communicator.size()},
                                          observer);
  if (!weights) {
    return weights.error();
  }
  return std::unique_ptr<DeepseekV4>(
      new DeepseekV4(std::move(*config), std::move(*weights), options, communicator));
}

DeepseekV4::DeepseekV4(ModelConfig config,
                       WeightSet weights,
                       const ModelOptions& options,
                       comm::Communicator& communicator)
    : config_(std::move(config)),
      weights_(std::move(weights)),
      options_(options),
      communicator_(communicator),
      operators_(makeOperators(options)),
      vocabulary_(WeightBinder(weights_, config_),
                  comm::ShardSpec{communicator.rank(), communicator.size()}),
      hyperHead_(WeightBinder(weights_, config_).hyper("hc_head")),
      norm_(WeightBinder(weights_, config_).norm("norm.weight")) {
  const WeightBinder binder(weights_, config_);
  blocks_.reserve(static_cast<std::size_t>(config_.numHiddenLayers));
  for (std::int64_t i = 0; i < config_.numHiddenLayers; ++i) {
    blocks_.emplace_back(binder,
                         fmt::format("layers.{}.", i),
                         TransformerBlock::Shape{.ratio = config_.compressRatio(i),
                                                 .hashed = i < config_.numHashLayers,
                                                 .layer = i,
                                                 .ranks = communicator.size()});
  }
  mtp_.reserve(static_cast<std::size_t>(weights_.mtpModules()));
  for (std::int64_t m = 0; m < weights_.mtpModules(); ++m) {
    mtp_.emplace_back(binder, m, communicator.size());
  }
  if (!mtp_.empty()) {
    drafter_.emplace(config_, mtp_.front(), vocabulary_);
  }
}

kvcache::CacheShape DeepseekV4::cacheShape(const CacheSettings& settings) const {
  kvcache::CacheShape shape;
  for (std::int64_t i = 0; i < config_.numHiddenLayers; ++i) {
    shape.ratios.push_back(config_.compressRatio(i));
  }
  const auto headDim = static_cast<int>(config_.headDim);
  const auto indexDim = static_cast<int>(config_.indexHeadDim);
  const bool packed = options_.numerics != kernels::Numerics::Exact;
  using kernels::EntryFormat;
  shape.windowTokens = config_.slidingWindow;
  shape.entry = {packed ? EntryFormat::KeyValue : EntryFormat::Float32,
                 headDim,
                 static_cast<int>(config_.qkRopeHeadDim)};
  shape.indexerKey = {packed ? EntryFormat::IndexerKey : EntryFormat::Float32, indexDim, 0};
  if (settings.mtp) {
    shape.ratios.push_back(0);
    shape.streamWidth = config_.hcMult * config_.hiddenSize;
    shape.maxDrafts = settings.maxDrafts;
  }
  return shape;
}

Result<void> DeepseekV4::check(const kvcache::KvCache& cache,
                               std::span<const SequenceChunk> chunks) const {
  std::int64_t rows = 0;
  for (const SequenceChunk& chunk : chunks) {
    if (Result<void> good = checkChunk(cache, chunk); !good) {
      return good;
    }
    rows += static_cast<std::int64_t>(chunk.tokens.size()) + chunk.drafts;
  }
  if (rows > options_.maxStepTokens) {
    return Error{
        ErrorCode::OutOfRange,
        fmt::format("a step of {} tokens, the model was made for {}", rows, options_.maxStepTokens),
        "Use a smaller chunk."};
  }
  return {};
}

Result<void> DeepseekV4::checkChunk(const kvcache::KvCache& cache,
                                    const SequenceChunk& chunk) const {
  const auto count = static_cast<std::int64_t>(chunk.tokens.size());
  if (count < 1 || chunk.logitRows < 0 || chunk.logitRows > count) {
    return Error{
        ErrorCode::InvalidArgument,
        fmt::format("a chunk of {} tokens wants {} rows of logits", count, chunk.logitRows),
        ""};
  }
  const bool drafts = chunk.drafts > 0;
  const bool mtp = drafts || chunk.mtpLogitRows > 0;
  if (mtp && (!drafter_ || cache.layout().shape().streamWidth == 0)) {
    return Error{ErrorCode::InvalidArgument,
                 drafter_ ? "drafts were asked for, and the cache was made without"
                          : "drafts were asked for, and the checkpoint has no mtp.0 module",
                 "Use a checkpoint with mtp.0, or do not ask for drafts."};
  }
  if (drafts && (chunk.drafts > cache.layout().shape().maxDrafts || count != 1 ||
                 chunk.logitRows != 1 || chunk.mtpLogitRows != 0)) {
    return Error{ErrorCode::InvalidArgument,
                 fmt::format("{} drafts after {} tokens; the cache was made for {} after one",
                             chunk.drafts,
                             count,
                             cache.layout().shape().maxDrafts),
                 ""};
  }
  if (chunk.mtpLogitRows > count - (chunk.position == 0 ? 1 : 0)) {
    return Error{ErrorCode::InvalidArgument,
                 fmt::format("{} rows of the MTP module's logits were asked for of {} tokens from "
                             "position {} on",
                             chunk.mtpLogitRows,
                             count,
                             chunk.position),
                 ""};
  }
  const std::int64_t end = chunk.position + count + chunk.drafts;
  const auto room = std::min(static_cast<std::int64_t>(chunk.blocks.size()) * kvcache::kBlockTokens,
                             maxContextTokens());
  if (chunk.position < 0 || end > room) {
    return Error{ErrorCode::OutOfRange,
                 fmt::format("{} tokens after {} do not fit the sequence's maximum of {}",
                             count + chunk.drafts,
                             chunk.position,
                             room),
                 "Shorten the prompt, or ask for fewer tokens."};
  }
  for (const TokenId token : chunk.tokens) {
    if (token < 0 || token >= vocabSize()) {
      return Error{ErrorCode::OutOfRange,
                   fmt::format("token id {} is outside the vocabulary of {}", token, vocabSize()),
                   "Tokenise with this model's tokenizer.json."};
    }
  }
  return {};
}

void DeepseekV4::layOutRows(std::span<const SequenceChunk> chunks,
                            std::span<const TokenId> drafts) {
  tokens_.clear();
  positions_.clear();
  ranges_.clear();
  for (const SequenceChunk& chunk : chunks) {
    const auto own = drafts.first(static_cast<std::size_t>(chunk.drafts));
    drafts = drafts.subspan(own.size());
    ranges_.push_back({static_cast<std::int64_t>(tokens_.size()),
                       static_cast<std::int64_t>(chunk.tokens.size()) + chunk.drafts,
                       chunk.position,
                       chunk.slot,
                       chunk.blocks});
    tokens_.insert(tokens_.end(), chunk.tokens.begin(), chunk.tokens.end());
    tokens_.insert(tokens_.end(), own.begin(), own.end());
    for (std::int64_t i = 0; i < ranges_.back().count; ++i) {
      positions_.push_back(chunk.position + i);
    }
  }
}

Step DeepseekV4::makeStep(kvcache::KvCache& cache) const {
  return Step{.operators = *operators_,
              .communicator = communicator_,
              .cache = cache,
              .numerics = options_.numerics,
              .tokens = tokens_,
              .positions = positions_,
              .ranges = ranges_};
}

Result<void> DeepseekV4::forward(kvcache::KvCache& cache,
                                 std::span<const SequenceChunk> chunks,
                                 const StepResults& results) {
  if (Result<void> good = check(cache, chunks); !good) {
    return good;
  }
  const bool mtp = drafter_ && cache.layout().shape().streamWidth > 0;
  if (!results.drafts.empty()) {
    if (Result<void> done = drafter_->draft(makeStep(cache), chunks, results.drafts); !done) {
      return done;
    }
  }
  layOutRows(chunks, results.drafts);
  Step step = makeStep(cache);
  const std::int64_t width = config_.hiddenSize;

  const kernels::Matrix<float> embedded = embedded_.take(step.rows(), width);
  if (Result<void> done = vocabulary_.embed(step, embedded, tokens_); !done) {
    return done;
  }
  const kernels::Matrix<float> streams = streams_.take(step.rows(), config_.hcMult * width);
  for (std::int64_t r = 0; r < step.rows(); ++r) {
    for (std::int64_t m = 0; m < config_.hcMult; ++m) {
      std::copy_n(embedded.row(r), width, streams.row(r) + m * width);
    }
  }
  for (TransformerBlock& block : blocks_) {
    if (Result<void> done = block.forward(step, streams); !done) {
      return done;
    }
  }
  if (Result<void> done = writeLogits(step, chunks, streams, rowsOf(results.logits, vocabSize()));
      !done) {
    return done;
  }
  return mtp ? drafter_->follow(step, chunks, streams, rowsOf(results.mtpLogits, vocabSize()))
             : Result<void>();
}

Result<void> DeepseekV4::writeLogits(const Step& step,
                                     std::span<const SequenceChunk> chunks,
                                     kernels::Matrix<const float> streams,
                                     kernels::Matrix<float> logits) {
  if (logits.rows == 0) {
    return {};
  }
  const kernels::Matrix<float> rows = wantedStreams_.take(logits.rows, streams.cols);
  std::int64_t next = 0;
  for (std::size_t i = 0; i < chunks.size(); ++i) {
    const std::int64_t end = ranges_[i].first + ranges_[i].count;
    for (std::int64_t r = end - chunks[i].logitRows - chunks[i].drafts; r < end; ++r, ++next) {
      std::copy_n(streams.row(r), streams.cols, rows.row(next));
    }
  }
  assert(next == logits.rows);
  const kernels::Matrix<float> h = collapsed_.take(logits.rows, config_.hiddenSize);
  operators_->hyperHead(h, rows, hyperHead_);
  operators_->rmsNorm(h, h, norm_, config_.rmsNormEps);
  return vocabulary_.logits(step, logits, h);
}

Result<LayerTrace> DeepseekV4::forwardLayer(std::int64_t layer,
                                            std::span<const TokenId> tokens,
                                            std::span<float> streams) {
  const auto blockCount = static_cast<std::int32_t>(
      (static_cast<std::int64_t>(tokens.size()) + kvcache::kBlockTokens - 1) /
      kvcache::kBlockTokens);
  Result<std::unique_ptr<kvcache::KvCache>> cache =
      kvcache::KvCache::create(cacheShape({}), {.blocks = blockCount, .sequences = 1});
  if (!cache) {
    return cache.error();
  }
  std::vector<kvcache::BlockId> blocks(static_cast<std::size_t>(blockCount));
  std::iota(blocks.begin(), blocks.end(), 0);
  const SequenceChunk chunk{.tokens = tokens, .blocks = blocks};
  if (Result<void> good = check(**cache, {&chunk, 1}); !good) {
    return good.error();
  }
  layOutRows({&chunk, 1}, {});
  Step step = makeStep(**cache);
  LayerTrace trace;
  step.trace = &trace;
  Result<void> done = blocks_[static_cast<std::size_t>(layer)].forward(
      step,
      rowsOf(streams, config_.hcMult * config_.hiddenSize));
  if (!done) {
    return done.error();
  }
  return trace;
}

}  // namespace tandem::model
