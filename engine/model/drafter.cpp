// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/model/drafter.h"

#include <fmt/core.h>

#include <algorithm>

namespace tandem::model {

Drafter::Drafter(const ModelConfig& config, MtpModule& module, Vocabulary& vocabulary)
    : module_(module),
      vocabulary_(vocabulary),
      width_(config.hiddenSize),
      streamWidth_(config.hcMult * config.hiddenSize) {}

Result<void> Drafter::draft(const Step& step,
                            std::span<const SequenceChunk> chunks,
                            std::span<TokenId> drafts) {
  // One guess of each sequence a round: the newest row of every sequence that still wants one.
  struct Guess {
    const SequenceChunk* chunk = nullptr;
    std::int64_t row = 0;  // of h_ and z_
    std::size_t firstDraft = 0;
  };
  std::vector<Guess> guesses;
  std::size_t firstDraft = 0;
  std::int64_t rows = 0;
  for (const SequenceChunk& chunk : chunks) {
    if (chunk.drafts == 0) {
      continue;
    }
    const std::int64_t added = addCarried(step, chunk);
    if (added == 0) {
      forgetRows();
      return Error{ErrorCode::InvalidArgument,
                   fmt::format("drafts were asked for after {} tokens, and slot {} does not know "
                               "the last of them",
                               chunk.position,
                               chunk.slot),
                   ""};
    }
    rows += added;
    guesses.push_back({&chunk, rows - 1, firstDraft});
    firstDraft += static_cast<std::size_t>(chunk.drafts);
  }
  for (std::int64_t round = 0; !guesses.empty(); ++round) {
    if (Result<void> done = run(step); !done) {
      return done;
    }
    const auto count = static_cast<std::int64_t>(guesses.size());
    const kernels::Matrix<float> wanted = wanted_.take(count, width_);
    for (std::int64_t i = 0; i < count; ++i) {
      std::copy_n(h_.row(guesses[static_cast<std::size_t>(i)].row), width_, wanted.row(i));
    }
    const kernels::Matrix<float> logits = logits_.take(count, vocabulary_.size());
    if (Result<void> done = vocabulary_.logits(step, logits, wanted); !done) {
      return done;
    }
    for (std::int64_t i = 0; i < count; ++i) {
      const Guess& guess = guesses[static_cast<std::size_t>(i)];
      const float* row = logits.row(i);
      drafts[guess.firstDraft + static_cast<std::size_t>(round)] =
          static_cast<TokenId>(std::max_element(row, row + logits.cols) - row);
    }
    std::erase_if(guesses, [&](const Guess& guess) { return round + 1 >= guess.chunk->drafts; });
    std::int64_t next = 0;
    for (Guess& guess : guesses) {
      addRow(guess.chunk->slot,
             guess.chunk->position + round,
             drafts[guess.firstDraft + static_cast<std::size_t>(round)],
             z_.row(guess.row));
      guess.row = next++;
    }
  }
  return {};
}

Result<void> Drafter::follow(const Step& step,
                             std::span<const SequenceChunk> chunks,
                             kernels::Matrix<const float> streams,
                             kernels::Matrix<float> logits) {
  std::vector<std::int64_t> ends;  // of each chunk's rows in the module's pass
  for (std::size_t i = 0; i < chunks.size(); ++i) {
    const SequenceChunk& chunk = chunks[i];
    if (chunk.drafts == 0) {
      addCarried(step, chunk);
      for (std::size_t r = 0; r + 1 < chunk.tokens.size(); ++r) {
        const auto row = static_cast<std::int64_t>(r);
        addRow(chunk.slot,
               chunk.position + row,
               chunk.tokens[r + 1],
               streams.row(step.ranges[i].first + row));
      }
    }
    ends.push_back(static_cast<std::int64_t>(tokens_.size()));
  }
  if (!tokens_.empty()) {
    if (Result<void> done = run(step); !done) {
      return done;
    }
  }
  // Only now: the module has read what was carried.
  for (std::size_t i = 0; i < chunks.size(); ++i) {
    const RowRange& range = step.ranges[i];
    const std::int64_t count = chunks[i].drafts == 0 ? 1 : range.count;
    const std::int64_t first = range.first + range.count - count;
    kvcache::CarriedRows& carried = step.cache.carried(range.slot);
    const auto begin = step.tokens.begin() + first;
    carried.position = range.position + range.count - count;
    carried.tokens.assign(begin, begin + count);
    const kernels::Matrix<float> kept = step.cache.carriedStreams(range.slot);
    for (std::int64_t r = 0; r < count; ++r) {
      std::copy_n(streams.row(first + r), streamWidth_, kept.row(r));
    }
  }
  if (logits.rows == 0) {
    return {};
  }
  const kernels::Matrix<float> wanted = wanted_.take(logits.rows, width_);
  std::int64_t next = 0;
  for (std::size_t i = 0; i < chunks.size(); ++i) {
    for (std::int64_t r = ends[i] - chunks[i].mtpLogitRows; r < ends[i]; ++r, ++next) {
      std::copy_n(h_.row(r), width_, wanted.row(next));
    }
  }
  return vocabulary_.logits(step, logits, wanted);
}

void Drafter::addRow(kvcache::SlotId slot,
                     std::int64_t position,
                     TokenId next,
                     const float* streams) {
  const auto row = static_cast<std::int64_t>(tokens_.size());
  const bool continues = !ranges_.empty() && ranges_.back().slot == slot &&
                         ranges_.back().position + ranges_.back().count == position;
  if (continues) {
    ++ranges_.back().count;
  } else {
    ranges_.push_back({row, 1, position, slot, {}});
  }
  tokens_.push_back(next);
  positions_.push_back(position);
  sources_.push_back(streams);
}

std::int64_t Drafter::addCarried(const Step& step, const SequenceChunk& chunk) {
  const kvcache::CarriedRows& carried = step.cache.carried(chunk.slot);
  const auto count = static_cast<std::int64_t>(carried.tokens.size());
  const std::int64_t committed = chunk.position - carried.position;
  // A slot in other hands: a new sequence begins at 0.
  if (chunk.position == 0 || committed < 1 || committed > count) {
    return 0;
  }
  const kernels::Matrix<float> streams = step.cache.carriedStreams(chunk.slot);
  for (std::int64_t r = 0; r < committed; ++r) {
    const TokenId next =
        r + 1 < committed ? carried.tokens[static_cast<std::size_t>(r + 1)] : chunk.tokens.front();
    addRow(chunk.slot, carried.position + r, next, streams.row(r));
  }
  return committed;
}

Result<void> Drafter::run(const Step& step) {
  const auto rows = static_cast<std::int64_t>(tokens_.size());
  // Through a second matrix, because sources may be rows of z_.
  const kernels::Matrix<float> sources = sourceRows_.take(rows, streamWidth_);
  for (std::int64_t r = 0; r < rows; ++r) {
    std::copy_n(sources_[static_cast<std::size_t>(r)], streamWidth_, sources.row(r));
  }
  z_ = zRows_.take(rows, streamWidth_);
  std::copy_n(sources.data, rows * streamWidth_, z_.data);
  h_ = hRows_.take(rows, width_);

  Step own = step;
  own.tokens = tokens_;
  own.positions = positions_;
  own.ranges = ranges_;
  const kernels::Matrix<float> embedded = embedded_.take(rows, width_);
  Result<void> done = vocabulary_.embed(own, embedded, tokens_);
  if (done) {
    done = module_.forward(own, h_, z_, embedded);
  }
  forgetRows();
  return done;
}

void Drafter::forgetRows() {
  tokens_.clear();
  positions_.clear();
  ranges_.clear();
  sources_.clear();
}

}  // namespace tandem::model
