// SPDX-License-Identifier: GPL-3.0-or-later
// The pre-tokenizer: regular expressions that cut a text into the pieces that merges stay inside.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/result.h"

namespace tandem::tokenizer {

/// A sequence of "Split, Isolated" steps: each expression cuts every piece of the step before into
/// its matches and the gaps between them. A piece is matched on its own, so anchors and look-aheads
/// see where it ends.
///
/// Immutable; any number of threads may use it, each with its own Scratch.
class PieceSplitter {
 public:
  /// `patterns` are the file's own expressions, in the dialect of Oniguruma.
  ///
  /// Fails   InvalidArgument when an expression does not compile or can match nothing
  static Result<PieceSplitter> create(const std::vector<std::string>& patterns);

  PieceSplitter(PieceSplitter&&) noexcept;
  PieceSplitter& operator=(PieceSplitter&&) noexcept;
  PieceSplitter(const PieceSplitter&) = delete;
  PieceSplitter& operator=(const PieceSplitter&) = delete;
  ~PieceSplitter();

  /// What matching writes to. One thread at a time.
  class Scratch {
   public:
    explicit Scratch(const PieceSplitter& splitter);
    ~Scratch();
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;

   private:
    friend class PieceSplitter;
    struct State;
    std::unique_ptr<State> state_;
  };

  /// Calls `onPiece` for every piece of `text`, in order. None is empty; together they are `text`.
  ///
  /// text    valid UTF-8
  /// Fails   Internal when the expression engine gives up on the text
  [[nodiscard]] Result<void> split(std::string_view text,
                                   Scratch& scratch,
                                   const std::function<void(std::string_view)>& onPiece) const;

 private:
  struct Expressions;
  explicit PieceSplitter(std::unique_ptr<const Expressions> expressions);

  std::unique_ptr<const Expressions> expressions_;
};

}  // namespace tandem::tokenizer
