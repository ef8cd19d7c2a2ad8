// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/tokenizer/tokenizer_file.h"

#include <fmt/core.h>

#include <charconv>
#include <optional>
#include <unordered_map>

#include "engine/tokenizer/byte_alphabet.h"
#include "engine/tokenizer/json_value.h"

namespace tandem::tokenizer {

namespace {

// Far above any vocabulary of this family (129,280), and still a small table.
constexpr TokenId kMaxTokens = 1 << 22;

constexpr const char* kSupported =
    "Tandem reads byte-level BPE: Split (Isolated) and ByteLevel pre-tokenizers, no normalizer";

/// Reads one file's parts into `file_`. Each step returns the first thing that is wrong.
class Reader {
 public:
  explicit Reader(const JsonValue& root)
      : root_(root) {}

  Result<TokenizerFile> read() {
    using Step = Result<void> (Reader::*)();
    for (const Step step : {&Reader::checkNormalizer,
                            &Reader::readPreTokenizer,
                            &Reader::checkDecoder,
                            &Reader::checkModel,
                            &Reader::readVocabulary,
                            &Reader::readMerges,
                            &Reader::readAddedTokens}) {
      if (const Result<void> done = (this->*step)(); !done) {
        return done.error();
      }
    }
    return std::move(file_);
  }

 private:
  static Error unsupported(std::string what) {
    return Error{ErrorCode::InvalidArgument, std::move(what), kSupported};
  }
  static Error corrupt(std::string what) {
    return Error{ErrorCode::DataCorrupt,
                 std::move(what),
                 "Download the model's tokenizer.json again"};
  }

  static bool isAbsent(const JsonValue* value) {
    return value == nullptr || value->kind() == JsonValue::Kind::Null;
  }
  static bool isTrue(const JsonValue& object, std::string_view key) {
    const JsonValue* value = object.find(key);
    return value != nullptr && value->isTrue();
  }
  static std::string typeOf(const JsonValue& object) {
    const JsonValue* type = object.find("type");
    return type != nullptr && type->isString() ? type->text() : "without a type";
  }
  static std::optional<TokenId> idOf(const JsonValue* value) {
    if (value == nullptr || value->kind() != JsonValue::Kind::Number) {
      return std::nullopt;
    }
    TokenId id = -1;
    const std::string& text = value->text();
    const char* end = text.data() + text.size();
    const auto [parsed, status] = std::from_chars(text.data(), end, id);
    if (parsed != end || status != std::errc() || id < 0 || id >= kMaxTokens) {
      return std::nullopt;
    }
    return id;
  }

  Result<void> checkNormalizer() {
    const JsonValue* normalizer = root_.find("normalizer");
    if (isAbsent(normalizer)) {
      return {};
    }
    const JsonValue* steps = normalizer->find("normalizers");
    if (typeOf(*normalizer) == "Sequence" && steps != nullptr && steps->items().empty()) {
      return {};
    }
    return unsupported(fmt::format("the normalizer {} is not supported", typeOf(*normalizer)));
  }

  Result<void> readPreTokenizer() {
    const JsonValue* preTokenizer = root_.find("pre_tokenizer");
    if (isAbsent(preTokenizer)) {
      return unsupported("there is no pre_tokenizer, so text would not be spelled as bytes");
    }
    std::vector<JsonValue> steps{*preTokenizer};
    if (typeOf(*preTokenizer) == "Sequence") {
      const JsonValue* list = preTokenizer->find("pretokenizers");
      steps = list != nullptr ? list->items() : std::vector<JsonValue>{};
    }
    if (steps.empty() || typeOf(steps.back()) != "ByteLevel") {
      return unsupported("the last pre-tokenizer is not ByteLevel");
    }
    if (isTrue(steps.back(), "use_regex") || isTrue(steps.back(), "add_prefix_space")) {
      return unsupported("ByteLevel with use_regex or add_prefix_space is not supported");
    }
    steps.pop_back();
    for (const JsonValue& step : steps) {
      if (const Result<void> read = readSplit(step); !read) {
        return read;
      }
    }
    return {};
  }

  Result<void> readSplit(const JsonValue& step) {
    if (typeOf(step) != "Split") {
      return unsupported(fmt::format("the pre-tokenizer {} is not supported", typeOf(step)));
    }
    const JsonValue* behavior = step.find("behavior");
    if (behavior == nullptr || behavior->text() != "Isolated" || isTrue(step, "invert")) {
      return unsupported("a Split that is inverted or not Isolated is not supported");
    }
    const JsonValue* pattern = step.find("pattern");
    const JsonValue* regex = pattern != nullptr ? pattern->find("Regex") : nullptr;
    if (regex == nullptr || !regex->isString()) {
      return unsupported("a Split whose pattern is not a Regex is not supported");
    }
    file_.splitPatterns.push_back(regex->text());
    return {};
  }

  Result<void> checkDecoder() {
    const JsonValue* decoder = root_.find("decoder");
    if (isAbsent(decoder) || typeOf(*decoder) != "ByteLevel") {
      return unsupported("the decoder is not ByteLevel");
    }
    return {};
  }

  Result<void> checkModel() {
    const JsonValue* model = root_.find("model");
    if (model == nullptr || !model->isObject()) {
      return corrupt("there is no model");
    }
    if (typeOf(*model) != "BPE") {
      return unsupported(fmt::format("the model {} is not supported", typeOf(*model)));
    }
    for (const char* option : {"unk_token", "continuing_subword_prefix", "end_of_word_suffix"}) {
      const JsonValue* value = model->find(option);
      if (!isAbsent(value) && !value->text().empty()) {
        return unsupported(fmt::format("the model's {} is not supported", option));
      }
    }
    for (const char* option : {"byte_fallback", "ignore_merges"}) {
      if (isTrue(*model, option)) {
        return unsupported(fmt::format("the model's {} is not supported", option));
      }
    }
    const JsonValue* dropout = model->find("dropout");
    if (!isAbsent(dropout) && dropout->text() != "0.0" && dropout->text() != "0") {
      return unsupported("the model's dropout is not supported");
    }
    model_ = model;
    return {};
  }

  /// Gives `id` its bytes.
  Result<void> define(TokenId id, std::string bytes) {
    const auto index = static_cast<std::size_t>(id);
    if (index >= file_.tokens.size()) {
      file_.tokens.resize(index + 1);
    }
    TokenizerFile::Token& token = file_.tokens[index];
    if (token.exists && token.bytes != bytes) {
      return corrupt(fmt::format("token {} is both \"{}\" and \"{}\"", id, token.bytes, bytes));
    }
    token = {true, std::move(bytes)};
    return {};
  }

  Result<void> readVocabulary() {
    const JsonValue* vocabulary = model_->find("vocab");
    if (vocabulary == nullptr || !vocabulary->isObject()) {
      return corrupt("there is no model.vocab");
    }
    std::array<bool, 256> spelled{};
    for (const JsonValue::Member& member : vocabulary->members()) {
      const std::optional<TokenId> id = idOf(&member.second);
      if (!id) {
        return corrupt(fmt::format("model.vocab[\"{}\"] is {}, expected an id below {}",
                                   member.first,
                                   pythonJson(member.second),
                                   kMaxTokens));
      }
      std::string bytes = bytesFromAlphabet(member.first);
      if (bytes.size() == 1) {
        const auto byte = static_cast<std::uint8_t>(bytes[0]);
        file_.byteTokens[byte] = *id;
        spelled[byte] = true;
      }
      if (const Result<void> defined = define(*id, std::move(bytes)); !defined) {
        return defined;
      }
      idBySpelling_.emplace(member.first, *id);
    }
    for (std::size_t byte = 0; byte < spelled.size(); ++byte) {
      if (!spelled[byte]) {
        return corrupt(fmt::format("model.vocab has no token for byte 0x{:02X}", byte));
      }
    }
    return {};
  }

  /// A merge is written "a b" or ["a", "b"]; the alphabet has no space of its own.
  static std::optional<std::pair<std::string, std::string>> halves(const JsonValue& merge) {
    if (merge.isArray() && merge.items().size() == 2 && merge.items()[0].isString() &&
        merge.items()[1].isString()) {
      return std::pair(merge.items()[0].text(), merge.items()[1].text());
    }
    const std::size_t space = merge.text().find(' ');
    if (!merge.isString() || space == std::string::npos) {
      return std::nullopt;
    }
    return std::pair(merge.text().substr(0, space), merge.text().substr(space + 1));
  }

  Result<void> readMerges() {
    const JsonValue* merges = model_->find("merges");
    if (merges == nullptr || !merges->isArray()) {
      return corrupt("there is no model.merges");
    }
    file_.merges.reserve(merges->items().size());
    for (const JsonValue& merge : merges->items()) {
      const auto pair = halves(merge);
      if (!pair) {
        return corrupt(fmt::format("model.merges[{}] is not a pair", file_.merges.size()));
      }
      const auto left = idBySpelling_.find(pair->first);
      const auto right = idBySpelling_.find(pair->second);
      const auto merged = idBySpelling_.find(pair->first + pair->second);
      if (left == idBySpelling_.end() || right == idBySpelling_.end() ||
          merged == idBySpelling_.end()) {
        return corrupt(fmt::format("model.merges[{}] (\"{}\" and \"{}\") is not in model.vocab",
                                   file_.merges.size(),
                                   pair->first,
                                   pair->second));
      }
      file_.merges.push_back({left->second, right->second, merged->second});
    }
    return {};
  }

  Result<void> readAddedTokens() {
    const JsonValue* added = root_.find("added_tokens");
    if (isAbsent(added)) {
      return {};
    }
    for (const JsonValue& entry : added->items()) {
      const JsonValue* content = entry.find("content");
      const std::optional<TokenId> id = idOf(entry.find("id"));
      if (content == nullptr || content->text().empty() || !id) {
        return corrupt(fmt::format("added_tokens[{}] has no content or no id below {}",
                                   file_.addedTokens.size(),
                                   kMaxTokens));
      }
      for (const char* option : {"single_word", "lstrip", "rstrip"}) {
        if (isTrue(entry, option)) {
          return unsupported(fmt::format("{} of the added token \"{}\" is not supported",
                                         option,
                                         content->text()));
        }
      }
      if (const Result<void> defined = define(*id, content->text()); !defined) {
        return defined;
      }
      file_.addedTokens.push_back({content->text(), *id});
    }
    return {};
  }

  const JsonValue& root_;
  const JsonValue* model_ = nullptr;
  std::unordered_map<std::string, TokenId> idBySpelling_;
  TokenizerFile file_;
};

}  // namespace

Result<TokenizerFile> readTokenizerFile(std::string_view json, const std::string& source) {
  const Result<JsonValue> root = parseJson(json);
  if (!root) {
    return Error{ErrorCode::DataCorrupt,
                 source + ": " + root.error().message,
                 "Download the model's tokenizer.json again"};
  }
  Result<TokenizerFile> file = Reader(*root).read();
  if (!file) {
    return file.error().within(source);
  }
  return file;
}

}  // namespace tandem::tokenizer
