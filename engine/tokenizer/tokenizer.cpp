// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/tokenizer/tokenizer.h"

#include <fmt/core.h>

#include <functional>
#include <limits>
#include <vector>

#include "engine/base/whole_file.h"
#include "engine/tokenizer/added_tokens.h"
#include "engine/tokenizer/byte_pair_merges.h"
#include "engine/tokenizer/detokenizer.h"
#include "engine/tokenizer/piece_splitter.h"
#include "engine/tokenizer/tokenizer_file.h"
#include "engine/tokenizer/utf8.h"

namespace tandem::tokenizer {

struct Tokenizer::Tables {
  std::vector<TokenizerFile::Token> tokens;  // by id
  AddedTokenTrie addedTokens;
  PieceSplitter splitter;
  BytePairMerges merges;
};

namespace {

// Positions within a piece are 32-bit.
constexpr std::size_t kMaxTextBytes = std::numeric_limits<std::int32_t>::max();

/// Encodes stretches without added tokens. Words repeat, so the ids of the newest ones are looked
/// up where they were written before; a word's key is a view into the text.
class PlainEncoder {
 public:
  PlainEncoder(const PieceSplitter& splitter,
               const BytePairMerges& merges,
               std::vector<TokenId>& ids)
      : splitter_(splitter),
        merges_(merges),
        splitScratch_(splitter),
        ids_(ids) {}

  Result<void> encode(std::string_view text) {
    return splitter_.split(text, splitScratch_, [this](std::string_view piece) { append(piece); });
  }

 private:
  struct Known {
    std::string_view piece;
    std::uint32_t begin = 0;  // in ids_: where the piece was encoded
    std::uint32_t count = 0;
  };

  void append(std::string_view piece) {
    constexpr std::size_t kLongestKept = 32;
    if (piece.size() > kLongestKept) {
      merges_.encode(piece, mergeScratch_, ids_);
      return;
    }
    // One place a hash value, and the newer word takes it: text without repetition costs little.
    Known& known = known_[std::hash<std::string_view>()(piece) % kKnown];
    if (known.piece == piece) {
      for (std::uint32_t i = 0; i < known.count; ++i) {
        ids_.push_back(ids_[known.begin + i]);
      }
      return;
    }
    known.piece = piece;
    known.begin = static_cast<std::uint32_t>(ids_.size());
    merges_.encode(piece, mergeScratch_, ids_);
    known.count = static_cast<std::uint32_t>(ids_.size()) - known.begin;
  }

  static constexpr std::size_t kKnown = 4096;

  const PieceSplitter& splitter_;
  const BytePairMerges& merges_;
  PieceSplitter::Scratch splitScratch_;
  BytePairMerges::Scratch mergeScratch_;
  std::vector<Known> known_ = std::vector<Known>(kKnown);
  std::vector<TokenId>& ids_;
};

}  // namespace

Tokenizer::Tokenizer(std::unique_ptr<const Tables> tables)
    : tables_(std::move(tables)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

Result<Tokenizer> Tokenizer::load(const std::filesystem::path& path) {
  std::error_code ignored;
  const bool isFolder = std::filesystem::is_directory(path, ignored);
  const std::filesystem::path file = isFolder ? path / "tokenizer.json" : path;
  const Result<std::string> text = readWholeFile(file);
  if (!text) {
    return Error{text.error().code,
                 text.error().message,
                 "Give the folder of a model that has a tokenizer.json this user may read."};
  }
  return parse(*text, file.string());
}

Result<Tokenizer> Tokenizer::parse(std::string_view json, const std::string& source) {
  Result<TokenizerFile> file = readTokenizerFile(json, source);
  if (!file) {
    return file.error();
  }
  Result<PieceSplitter> splitter = PieceSplitter::create(file->splitPatterns);
  if (!splitter) {
    return splitter.error().within(source);
  }
  AddedTokenTrie addedTokens;
  for (const TokenizerFile::AddedToken& token : file->addedTokens) {
    addedTokens.add(token.literal, token.id);
  }
  return Tokenizer(
      std::make_unique<const Tables>(Tables{std::move(file->tokens),
                                            std::move(addedTokens),
                                            std::move(*splitter),
                                            BytePairMerges(file->byteTokens, file->merges)}));
}

Result<std::vector<TokenId>> Tokenizer::encode(std::string_view text, AddedTokens added) const {
  const TextRange everything{0, text.size()};
  return encode(
      text,
      added == AddedTokens::Plain ? std::span(&everything, 1) : std::span<const TextRange>());
}

Result<std::vector<TokenId>> Tokenizer::encode(std::string_view text,
                                               std::span<const TextRange> foreign) const {
  if (text.size() > kMaxTextBytes) {
    return Error{ErrorCode::OutOfRange,
                 fmt::format("a text of {} bytes is too long to encode", text.size()),
                 ""};
  }
  if (const auto offset = firstInvalidUtf8(text)) {
    return Error{ErrorCode::InvalidArgument,
                 fmt::format("the text is not UTF-8 at byte {} (0x{:02X})",
                             *offset,
                             static_cast<std::uint8_t>(text[*offset])),
                 "Send text as UTF-8"};
  }
  std::vector<TokenId> ids;
  PlainEncoder plain(tables_->splitter, tables_->merges, ids);
  std::size_t plainFrom = 0;  // what lies before is encoded
  std::size_t searchFrom = 0;
  while (searchFrom < text.size()) {
    while (!foreign.empty() && foreign.front().end <= searchFrom) {
      foreign = foreign.subspan(1);
    }
    const std::size_t limit = foreign.empty() ? text.size() : foreign.front().begin;
    const auto match = tables_->addedTokens.find(text, searchFrom, limit);
    if (!match) {
      searchFrom = foreign.empty() ? text.size() : foreign.front().end;
      continue;
    }
    if (const Result<void> done = plain.encode(text.substr(plainFrom, match->begin - plainFrom));
        !done) {
      return done.error();
    }
    ids.push_back(match->id);
    plainFrom = searchFrom = match->end;
  }
  if (const Result<void> done = plain.encode(text.substr(plainFrom)); !done) {
    return done.error();
  }
  return ids;
}

std::string Tokenizer::decode(std::span<const TokenId> ids) const {
  Detokenizer detokenizer(*this);
  std::string text = detokenizer.push(ids);
  return text + detokenizer.flush();
}

std::string_view Tokenizer::tokenBytes(TokenId id) const {
  return contains(id) ? tables_->tokens[static_cast<std::size_t>(id)].bytes : std::string_view();
}

bool Tokenizer::contains(TokenId id) const {
  return id >= 0 && id < vocabSize() && tables_->tokens[static_cast<std::size_t>(id)].exists;
}

std::optional<TokenId> Tokenizer::tokenId(std::string_view literal) const {
  return tables_->addedTokens.idOf(literal);
}

TokenId Tokenizer::vocabSize() const {
  return static_cast<TokenId>(tables_->tokens.size());
}

}  // namespace tandem::tokenizer
