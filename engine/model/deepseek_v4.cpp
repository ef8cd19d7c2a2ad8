// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/model/deepseek_v4.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cassert>
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
}

Result<std::unique_ptr<SequenceState>> DeepseekV4::newSequence(std::int64_t maxTokens) {
  if (maxTokens < 1 || maxTokens > maxContextTokens()) {
    return Error{ErrorCode::OutOfRange,
                 fmt::format("a sequence of {} tokens was asked for, the model takes 1 to {}",
                             maxTokens,
                             maxContextTokens()),
                 "Shorten the prompt, or ask for fewer tokens."};
  }
  return std::unique_ptr<SequenceState>(
      new SequenceCache(config_, mtpModules(), maxTokens, options_.maxStepTokens));
}

Result<void> DeepseekV4::check(std::span<const SequenceChunk> chunks,
                               std::span<const DraftChunk> drafts) const {
  std::int64_t rows = 0;
  for (std::size_t i = 0; i < chunks.size(); ++i) {
    const SequenceChunk& chunk = chunks[i];
    const auto& cache = static_cast<const SequenceCache&>(*chunk.state);
    const auto count = static_cast<std::int64_t>(chunk.tokens.size());
    rows += count;
    if (count < 1 || chunk.logitRows < 0 || chunk.logitRows > count) {
      return Error{
          ErrorCode::InvalidArgument,
          fmt::format("a chunk of {} tokens wants {} rows of logits", count, chunk.logitRows),
          ""};
    }
    if (cache.length() + count > cache.maxTokens()) {
      return Error{ErrorCode::OutOfRange,
                   fmt::format("{} tokens after {} do not fit the sequence's maximum of {}",
                               count,
                               cache.length(),
                               cache.maxTokens()),
                   "Shorten the prompt, or ask for fewer tokens."};
    }
    const auto checkTokens = [&](std::span<const TokenId> tokens) -> Result<void> {
      for (const TokenId token : tokens) {
        if (token < 0 || token >= vocabSize()) {
          return Error{
              ErrorCode::OutOfRange,
              fmt::format("token id {} is outside the vocabulary of {}", token, vocabSize()),
              "Tokenise with this model's tokenizer.json."};
        }
      }
      return {};
    };
    if (Result<void> good = checkTokens(chunk.tokens); !good) {
      return good;
    }
    if (drafts.empty() || drafts[i].nextTokens.empty()) {
      continue;
    }
    if (mtp_.empty()) {
      return Error{ErrorCode::InvalidArgument,
                   "draft logits were asked for, and the checkpoint has no mtp.0 module",
                   "Use a checkpoint with mtp.0, or do not ask for drafts."};
    }
    if (drafts[i].nextTokens.size() > chunk.tokens.size() ||
        drafts[i].logitRows > static_cast<std::int64_t>(drafts[i].nextTokens.size()) ||
        cache.draftLength() != cache.length()) {
      return Error{
          ErrorCode::InvalidArgument,
          fmt::format("the MTP module has seen {} rows of {}, and gets {} for {} new tokens",
                      cache.draftLength(),
                      cache.length(),
                      drafts[i].nextTokens.size(),
                      count),
          ""};
    }
    if (Result<void> good = checkTokens(drafts[i].nextTokens); !good) {
      return good;
    }
  }
  if (rows > options_.maxStepTokens) {
    return Error{
        ErrorCode::OutOfRange,
        fmt::format("a step of {} tokens, the model was made for {}", rows, options_.maxStepTokens),
        "Use a smaller chunk."};
  }
  return {};
}

void DeepseekV4::layOutRows(std::span<const SequenceChunk> chunks) {
  tokens_.clear();
  positions_.clear();
  ranges_.clear();
  for (const SequenceChunk& chunk : chunks) {
    auto* cache = static_cast<SequenceCache*>(chunk.state);
    ranges_.push_back({static_cast<std::int64_t>(tokens_.size()),
                       static_cast<std::int64_t>(chunk.tokens.size()),
                       cache->length(),
                       cache});
    for (std::size_t i = 0; i < chunk.tokens.size(); ++i) {
      tokens_.push_back(chunk.tokens[i]);
      positions_.push_back(cache->length() + static_cast<std::int64_t>(i));
    }
  }
}

Step DeepseekV4::makeStep() const {
  return Step{.operators = *operators_,
              .communicator = communicator_,
              .numerics = options_.numerics,
              .tokens = tokens_,
              .positions = positions_,
              .ranges = ranges_};
}

Result<void> DeepseekV4::forward(std::span<const SequenceChunk> chunks, std::span<float> logits) {
  return forwardWithDrafts(chunks, {}, logits, {});
}

Result<void> DeepseekV4::forwardWithDrafts(std::span<const SequenceChunk> chunks,
                                           std::span<const DraftChunk> drafts,
                                           std::span<float> logits,
                                           std::span<float> draftLogits) {
  if (Result<void> good = check(chunks, drafts); !good) {
    return good;
  }
  layOutRows(chunks);
  Step step = makeStep();
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

  std::int64_t wanted = 0;
  for (const SequenceChunk& chunk : chunks) {
    wanted += chunk.logitRows;
  }
  assert(logits.size() == static_cast<std::size_t>(wanted * vocabSize()));
  if (wanted > 0) {
    const kernels::Matrix<float> rows = wantedStreams_.take(wanted, streams.cols);
    std::int64_t next = 0;
    for (std::size_t i = 0; i < chunks.size(); ++i) {
      const std::int64_t end = ranges_[i].first + ranges_[i].count;
      for (std::int64_t r = end - chunks[i].logitRows; r < end; ++r, ++next) {
        std::copy_n(streams.row(r), streams.cols, rows.row(next));
      }
    }
    const kernels::Matrix<float> h = collapsed_.take(wanted, width);
    operators_->hyperHead(h, rows, hyperHead_);
    operators_->rmsNorm(h, h, norm_, config_.rmsNormEps);
    if (Result<void> done = vocabulary_.logits(step, rowsOf(logits, vocabSize()), h); !done) {
      return done;
    }
  }
  if (Result<void> done = runDrafts(drafts, draftLogits); !done) {
    return done;
  }
  for (const RowRange& range : ranges_) {
    range.cache->advance(range.count);
  }
  return {};
}

Result<void> DeepseekV4::runDrafts(std::span<const DraftChunk> drafts,
                                   std::span<float> draftLogits) {
  // The module sees the leading rows of each chunk: those whose next token is known.
  std::vector<TokenId> tokens;
  std::vector<std::int64_t> positions;
  std::vector<RowRange> ranges;
  std::vector<std::int64_t> sources;
  std::int64_t wanted = 0;
  for (std::size_t i = 0; i < drafts.size(); ++i) {
    const auto count = static_cast<std::int64_t>(drafts[i].nextTokens.size());
    if (count == 0) {
      continue;
    }
    wanted += drafts[i].logitRows;
    ranges.push_back(
        {static_cast<std::int64_t>(tokens.size()), count, ranges_[i].position, ranges_[i].cache});
    for (std::int64_t r = 0; r < count; ++r) {
      tokens.push_back(drafts[i].nextTokens[static_cast<std::size_t>(r)]);
      positions.push_back(ranges_[i].position + r);
      sources.push_back(ranges_[i].first + r);
    }
  }
  if (ranges.empty()) {
    return {};
  }
  Step step = makeStep();
  const kernels::Matrix<float> all(streams_.take(step.rows(), config_.hcMult * config_.hiddenSize));
  step.tokens = tokens;
  step.positions = positions;
  step.ranges = ranges;
  const kernels::Matrix<float> streams = wantedStreams_.take(step.rows(), all.cols);
  for (std::int64_t r = 0; r < step.rows(); ++r) {
    std::copy_n(all.row(sources[static_cast<std::size_t>(r)]), all.cols, streams.row(r));
  }
  const kernels::Matrix<float> embedded = embedded_.take(step.rows(), config_.hiddenSize);
  if (Result<void> done = vocabulary_.embed(step, embedded, tokens); !done) {
    return done;
  }
  const kernels::Matrix<float> h = collapsed_.take(step.rows(), config_.hiddenSize);
  if (Result<void> done = mtp_.front().forward(step, h, streams, embedded); !done) {
    return done;
  }
  std::vector<float> rows;
  std::size_t range = 0;
  for (const DraftChunk& draft : drafts) {
    if (draft.nextTokens.empty()) {
      continue;
    }
    const std::int64_t end = ranges[range].first + ranges[range].count;
    const float* first = h.data + (end - draft.logitRows) * h.cols;
    rows.insert(rows.end(), first, first + draft.logitRows * h.cols);
    ranges[range].cache->advanceDraft(ranges[range].count);
    ++range;
  }
  assert(draftLogits.size() == static_cast<std::size_t>(wanted * vocabSize()));
  if (wanted == 0) {
    return {};
  }
  return vocabulary_.logits(step,
                            rowsOf(draftLogits, vocabSize()),
                            {rows.data(), wanted, config_.hiddenSize});
}

Result<LayerTrace> DeepseekV4::forwardLayer(std::int64_t layer,
                                            std::span<const TokenId> tokens,
                                            std::span<float> streams) {
  Result<std::unique_ptr<SequenceState>> state =
      newSequence(static_cast<std::int64_t>(tokens.size()));
  if (!state) {
    return state.error();
  }
  const SequenceChunk chunk{state->get(), tokens, 0};
  if (Result<void> good = check({&chunk, 1}, {}); !good) {
    return good.error();
  }
  layOutRows({&chunk, 1});
  Step step = makeStep();
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
