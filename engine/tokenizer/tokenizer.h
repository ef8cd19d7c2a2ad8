// SPDX-License-Identifier: GPL-3.0-or-later
// Text to token ids and back, as a Hugging Face tokenizer.json of the DeepSeek family describes it.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/result.h"
#include "engine/base/token_id.h"
#include "engine/tokenizer/text_range.h"

namespace tandem::tokenizer {

/// What to do with the literal of an added token (`<｜User｜>`, `<think>`, …) found in a text.
enum class AddedTokens {
  Recognise,  // it becomes its one id, as the official encoder does with everything
  Plain,      // it is encoded like any other characters and controls nothing
};

/// Byte-level BPE: added tokens are cut out leftmost-longest, the file's own Split expressions cut
/// the rest into pieces, and each piece's bytes are merged by rank.
///
/// Owns its tables; immutable once loaded, so any number of threads may call it.
class Tokenizer {
 public:
  /// Reads `path`, a tokenizer.json or the folder that holds one.
  ///
  /// Fails   NotFound when there is no such file; DataCorrupt when it is not JSON or contradicts
  ///         itself; InvalidArgument when it asks for something unsupported, which is named
  static Result<Tokenizer> load(const std::filesystem::path& path);

  /// As load(), from the file's text. `source` names it in messages.
  static Result<Tokenizer> parse(std::string_view json, const std::string& source);

  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  Tokenizer(const Tokenizer&) = delete;
  Tokenizer& operator=(const Tokenizer&) = delete;
  ~Tokenizer();

  /// The ids of `text`; nothing (no BOS) is added to them.
  ///
  /// Fails   InvalidArgument when `text` is not UTF-8, with the byte offset
  [[nodiscard]] Result<std::vector<TokenId>> encode(std::string_view text, AddedTokens added) const;

  /// As encode(text, Recognise), but an added token that touches one of the `foreign` ranges
  /// (ascending, disjoint, in bytes of `text`) is encoded plainly there: what a client wrote cannot
  /// end its own turn.
  [[nodiscard]] Result<std::vector<TokenId>> encode(std::string_view text,
                                                    std::span<const TextRange> foreign) const;

  /// The text of `ids`; bytes that are no UTF-8 become U+FFFD, as does an id that has no token.
  [[nodiscard]] std::string decode(std::span<const TokenId> ids) const;

  /// The raw bytes of one token (a logprob's `bytes`); they may be part of a character. Empty for
  /// an id without a token. Lives as long as the tokenizer.
  [[nodiscard]] std::string_view tokenBytes(TokenId id) const;

  /// True if `id` names a token of this file.
  [[nodiscard]] bool contains(TokenId id) const;

  /// The id of an added token by its literal, e.g. tokenId("<｜User｜>").
  [[nodiscard]] std::optional<TokenId> tokenId(std::string_view literal) const;

  /// One more than the largest id. (A model's logits may have more columns, for padding.)
  [[nodiscard]] TokenId vocabSize() const;

 private:
  struct Tables;
  explicit Tokenizer(std::unique_ptr<const Tables> tables);

  std::unique_ptr<const Tables> tables_;
};

}  // namespace tandem::tokenizer
