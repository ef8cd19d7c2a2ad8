// SPDX-License-Identifier: GPL-3.0-or-later
// What the runtime needs of a model: sequences that remember, and one forward step over them.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "engine/base/result.h"
#include "engine/base/token_id.h"

namespace tandem::model {

/// The state of one sequence: its window rows, compressed entries and compressor tails.
/// Owned by the caller, made by LanguageModel::newSequence, used with that model only.
class SequenceState {
 public:
  virtual ~SequenceState() = default;

  /// Tokens fed so far; the next token gets this position.
  [[nodiscard]] virtual std::int64_t length() const = 0;

  /// Bytes now allocated for it on this rank.
  [[nodiscard]] virtual std::uint64_t bytes() const = 0;
};

/// A run of new tokens of one sequence in a step: a prefill chunk, a decode row, drafts to verify.
struct SequenceChunk {
  SequenceState* state = nullptr;
  std::span<const TokenId> tokens;  // not empty
  std::int64_t logitRows = 0;       // logits of the last `logitRows` tokens are wanted
};

/// Both ranks call the same methods in the same order with the same arguments.
/// Thread   one: the engine thread of this rank.
class LanguageModel {
 public:
  virtual ~LanguageModel() = default;

  [[nodiscard]] virtual std::int64_t vocabSize() const = 0;
  [[nodiscard]] virtual std::int64_t maxContextTokens() const = 0;
  [[nodiscard]] virtual std::uint64_t weightBytes() const = 0;

  /// An empty sequence that can grow to `maxTokens`.
  /// Fails    OutOfRange above maxContextTokens(); OutOfMemory.
  virtual Result<std::unique_ptr<SequenceState>> newSequence(std::int64_t maxTokens) = 0;

  /// Feeds every chunk and writes the wanted logits.
  ///
  /// chunks   each sequence at most once
  /// logits   [Σ logitRows, vocabSize()] float, rows in the order of the chunks; whole rows on
  ///          every rank
  /// Fails    OutOfRange for a token id outside the vocabulary or a sequence past its maximum
  ///          (nothing was changed); Unavailable when a peer was lost (the model is then unusable).
  virtual Result<void> forward(std::span<const SequenceChunk> chunks, std::span<float> logits) = 0;
};

}  // namespace tandem::model
