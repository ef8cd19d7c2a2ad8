// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/support/byte_tokenizer.h"

#include <fmt/core.h>

#include <cstdlib>
#include <string>
#include <utility>

#include <nlohmann/json.hpp>

#include "engine/tokenizer/chat_markup.h"

namespace tandem::testing {

namespace {

using Json = nlohmann::ordered_json;

constexpr int kFirstByte = 3;

/// UTF-8 of a code point below U+0800: the byte alphabet ends at U+0143.
std::string utf8(unsigned int point) {
  std::string text;
  if (point < 0x80) {
    text += static_cast<char>(point);
  } else {
    text += static_cast<char>(0xC0U | (point >> 6));
    text += static_cast<char>(0x80U | (point & 0x3FU));
  }
  return text;
}

bool isItself(unsigned int byte) {
  return (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
}

Json byteVocabulary() {
  Json vocabulary = Json::object();
  unsigned int next = 0x100;  // the other bytes get the letters from U+0100 on, in order
  for (unsigned int byte = 0; byte < 256; ++byte) {
    vocabulary[utf8(isItself(byte) ? byte : next++)] = kFirstByte + static_cast<int>(byte);
  }
  return vocabulary;
}

Json addedTokens() {
  Json list = Json::array();
  const auto add = [&list](int id, std::string_view literal) {
    list.push_back({{"id", id}, {"content", literal}, {"special", false}});
  };
  add(0, tokenizer::kBeginOfSentence);
  add(1, tokenizer::kEndOfSentence);
  add(2, tokenizer::kPad);
  int id = kFirstByte + 256;
  for (const std::string_view literal : {tokenizer::kUser,
                                         tokenizer::kAssistant,
                                         tokenizer::kThinkBegin,
                                         tokenizer::kThinkEnd,
                                         tokenizer::kLatestReminder,
                                         std::string_view("｜DSML｜")}) {
    add(id++, literal);
  }
  return list;
}

}  // namespace

tokenizer::Tokenizer makeByteTokenizer() {
  const Json byteLevel{{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}};
  const Json file{
      {"added_tokens", addedTokens()},
      {"normalizer", nullptr},
      {"pre_tokenizer", byteLevel},
      {"decoder", byteLevel},
      {"model", {{"type", "BPE"}, {"vocab", byteVocabulary()}, {"merges", Json::array()}}}};
  Result<tokenizer::Tokenizer> parsed =
      tokenizer::Tokenizer::parse(file.dump(), "the byte tokenizer of the tests");
  if (!parsed) {
    fmt::print(stderr, "{}\n", parsed.error().text());
    std::abort();  // a test cannot go on without it
  }
  return std::move(*parsed);
}

}  // namespace tandem::testing
