// SPDX-License-Identifier: GPL-3.0-or-later
// Text to ids and back, and the JSON spelling that prompts need.
#include "engine/tokenizer/tokenizer.h"

#include <algorithm>
#include <array>
#include <random>
#include <set>

#include <QTest>

#include "engine/tokenizer/byte_pair_merges.h"
#include "engine/tokenizer/detokenizer.h"
#include "engine/tokenizer/json_value.h"
#include "tests/unit/engine/tokenizer/test_files.h"

using namespace tandem;
using namespace tandem::tokenizer;

namespace {

Tokenizer fixtureTokenizer() {
  return std::move(Tokenizer::load(fixtureFolder())).value();
}

std::string randomText(std::mt19937& random) {
  static const std::vector<std::string> kParts{
      " ",        "\n",     "\r\n",       "the",     "Tokyo",
      "9",        "1234",   "é",          "e\u0301", "日本",
      "🙂",     "\u00a0", "<｜User｜>", "<｜",     "｜DSML｜",
      "</think>", ".",      ",,",         "_",       std::string(1, '\0'),
      "\x7f",     "ﬁ"};
  std::string text;
  const auto parts = random() % 40;
  for (unsigned i = 0; i < parts; ++i) {
    text += kParts[random() % kParts.size()];
  }
  return text;
}

/// The fixture's file with one text replaced.
std::string fixtureWith(const std::string& from, const std::string& to) {
  std::string json = readFile(fixtureFolder() / "tokenizer.json");
  const std::size_t at = json.find(from);
  return at == std::string::npos ? std::string() : json.replace(at, from.size(), to);
}

/// Byte-pair encoding in the words of its definition: again and again the merge of lowest rank that
/// applies anywhere, at its leftmost place.
std::vector<TokenId> mergedByDefinition(const std::array<TokenId, 256>& byteTokens,
                                        const std::vector<Merge>& merges,
                                        const std::string& piece) {
  std::vector<TokenId> ids;
  for (const char byte : piece) {
    ids.push_back(byteTokens[static_cast<std::uint8_t>(byte)]);
  }
  for (std::size_t rank = 0; rank < merges.size();) {
    const Merge& merge = merges[rank];
    const std::array<TokenId, 2> pair{merge.left, merge.right};
    const auto found = std::search(ids.begin(), ids.end(), pair.begin(), pair.end());
    if (found == ids.end()) {
      ++rank;
      continue;
    }
    *found = merge.merged;
    ids.erase(found + 1);
    rank = 0;
  }
  return ids;
}

void compareVectors(const Tokenizer& tokenizer,
                    const std::filesystem::path& file,
                    const char* textKey) {
  const Result<JsonValue> vectors = parseJson(readFile(file));
  QVERIFY(vectors.ok());
  QVERIFY(!vectors->items().empty());
  for (const JsonValue& vector : vectors->items()) {
    const std::string& text = vector.find(textKey)->text();
    const auto ids = tokenizer.encode(text, AddedTokens::Recognise);
    QVERIFY2(ids.ok(), text.c_str());
    QVERIFY2(*ids == idsFrom(*vector.find("ids")), text.c_str());
    QCOMPARE(tokenizer.decode(*ids), text);
  }
}

}  // namespace

Q_DECLARE_METATYPE(std::string)

class TokenizerTest : public QObject {
  Q_OBJECT

 private slots:
  void idsEqualThoseOfAnIndependentReference() {
    compareVectors(fixtureTokenizer(), fixtureFolder() / "vectors.json", "text");
  }

  void idsEqualTheOfficialVectors() {
    const auto folder = sharedData() / "tokenizer";
    if (!std::filesystem::exists(folder / "vectors.json")) {
      QSKIP("../shared/data/tokenizer is not on this machine");
    }
    const Result<Tokenizer> tokenizer = Tokenizer::load(folder);
    QVERIFY(tokenizer.ok());
    QCOMPARE(tokenizer->vocabSize(), 129280);
    compareVectors(*tokenizer, folder / "vectors.json", "t");
  }

  void decodingWhatWasEncodedGivesTheTextBack() {
    const Tokenizer tokenizer = fixtureTokenizer();
    std::mt19937 random(7);
    for (int i = 0; i < 500; ++i) {
      const std::string text = randomText(random);
      for (const AddedTokens added : {AddedTokens::Recognise, AddedTokens::Plain}) {
        const auto ids = tokenizer.encode(text, added);
        QVERIFY(ids.ok());
        QCOMPARE(tokenizer.decode(*ids), text);
      }
    }
  }

  void streamedTextEqualsTheWholeWhereverTheIdsAreSplit() {
    const Tokenizer tokenizer = fixtureTokenizer();
    std::mt19937 random(8);
    for (int i = 0; i < 200; ++i) {
      std::vector<TokenId> ids;  // any ids at all: most of the texts are no UTF-8
      for (auto n = random() % 60; n > 0; --n) {
        ids.push_back(static_cast<TokenId>(random() % 400));
      }
      Detokenizer detokenizer(tokenizer);
      std::string streamed;
      for (std::size_t at = 0; at < ids.size();) {
        const std::size_t count = std::min<std::size_t>(1 + random() % 3, ids.size() - at);
        streamed += detokenizer.push(std::span(ids).subspan(at, count));
        at += count;
      }
      streamed += detokenizer.flush();
      QCOMPARE(streamed, tokenizer.decode(ids));
    }
  }

  void aCharacterIsDeliveredWhenItsLastByteArrives() {
    const Tokenizer tokenizer = fixtureTokenizer();
    const auto ids = tokenizer.encode("🙂", AddedTokens::Plain);
    QCOMPARE(ids->size(), 4U);  // the fixture merges no emoji
    Detokenizer detokenizer(tokenizer);
    QCOMPARE(detokenizer.push(std::span(*ids).first(3)), "");
    QCOMPARE(detokenizer.push(std::span(*ids).subspan(3)), "🙂");
    QCOMPARE(detokenizer.push(std::span(*ids).first(2)), "");
    QCOMPARE(detokenizer.flush(), "\uFFFD");
  }

  void hiddenTokensGiveNoText() {
    const Tokenizer tokenizer = fixtureTokenizer();
    const TokenId end = tokenizer.tokenId("<｜end▁of▁sentence｜>").value();
    Detokenizer detokenizer(tokenizer, {end});
    const std::vector<TokenId> ids{end, tokenizer.tokenId("<think>").value(), end};
    QCOMPARE(detokenizer.push(ids), "<think>");
  }

  void theLongestOfTheLeftmostAddedTokensWins() {
    const Tokenizer tokenizer = fixtureTokenizer();
    const auto ids = tokenizer.encode("<｜User｜>!", AddedTokens::Recognise);
    QCOMPARE(*ids, std::vector<TokenId>{tokenizer.tokenId("<｜User｜>!").value()});
  }

  void addedTokensInForeignTextControlNothing() {
    const Tokenizer tokenizer = fixtureTokenizer();
    const TokenId user = tokenizer.tokenId("<｜User｜>").value();
    const std::string text = "<｜User｜>say <｜User｜> now<｜Assistant｜>";
    const std::size_t from = std::string("<｜User｜>").size();
    const TextRange foreign{from, text.size() - std::string("<｜Assistant｜>").size()};
    const auto ids = tokenizer.encode(text, std::span(&foreign, 1));
    QVERIFY(ids.ok());
    QCOMPARE(std::count(ids->begin(), ids->end(), user), 1);
    QCOMPARE(ids->front(), user);
    QCOMPARE(ids->back(), tokenizer.tokenId("<｜Assistant｜>").value());
    QCOMPARE(tokenizer.decode(*ids), text);
  }

  void invalidUtf8IsRefusedWithItsOffset_data() {
    QTest::addColumn<QByteArray>("text");
    QTest::addColumn<int>("offset");
    QTest::newRow("stray continuation") << QByteArray("ab\x80") << 2;
    QTest::newRow("overlong") << QByteArray("\xC0\xAF") << 0;
    QTest::newRow("surrogate") << QByteArray("a\xED\xA0\x80") << 1;
    QTest::newRow("above U+10FFFF") << QByteArray("\xF4\x90\x80\x80") << 0;
    QTest::newRow("cut short") << QByteArray("abc\xE6\x97") << 3;
  }
  void invalidUtf8IsRefusedWithItsOffset() {
    QFETCH(QByteArray, text);
    QFETCH(int, offset);
    const auto ids = fixtureTokenizer().encode(text.toStdString(), AddedTokens::Recognise);
    QVERIFY(!ids.ok());
    QCOMPARE(ids.error().code, ErrorCode::InvalidArgument);
    const std::string place = "at byte " + std::to_string(offset) + " ";
    QVERIFY2(ids.error().message.find(place) != std::string::npos, ids.error().message.c_str());
  }

  void piecesOfEveryLengthMergeAsTheDefinitionSays() {
    // Merges of any order, also ones that rank before what makes them possible.
    std::mt19937 random(7);
    std::array<TokenId, 256> byteTokens{};
    for (std::size_t byte = 0; byte < byteTokens.size(); ++byte) {
      byteTokens[byte] = static_cast<TokenId>(byte % 4);
    }
    for (int round = 0; round < 200; ++round) {
      std::vector<Merge> merges;
      std::set<std::pair<TokenId, TokenId>> taken;
      TokenId tokens = 4;
      for (int i = 0; i < 60; ++i) {
        const auto left = static_cast<TokenId>(random() % static_cast<unsigned>(tokens));
        const auto right = static_cast<TokenId>(random() % static_cast<unsigned>(tokens));
        if (taken.emplace(left, right).second) {
          merges.push_back({left, right, tokens++});
        }
      }
      if (round % 2 == 1) {
        std::shuffle(merges.begin(), merges.end(), random);
      }
      const BytePairMerges table(byteTokens, merges);
      BytePairMerges::Scratch scratch;
      for (const std::size_t length : {0U, 1U, 2U, 7U, 47U, 48U, 49U, 50U, 64U, 200U, 500U}) {
        std::string piece(length, 'a');
        for (char& byte : piece) {
          byte = static_cast<char>('a' + random() % (round % 3 == 0 ? 1U : 4U));
        }
        std::vector<TokenId> ids{99};  // what is there stays there
        table.encode(piece, scratch, ids);
        std::vector<TokenId> expected = mergedByDefinition(byteTokens, merges, piece);
        expected.insert(expected.begin(), 99);
        QCOMPARE(ids, expected);
      }
    }
  }

  void aMegabyteOfOneLetterIsEncodedInOneGo() {
    // A quadratic merge would take minutes here and run into the test's limit.
    const std::string text(1 << 20, 'e');
    const Tokenizer tokenizer = fixtureTokenizer();
    const auto ids = tokenizer.encode(text, AddedTokens::Recognise);
    QVERIFY(ids.ok());
    QCOMPARE(tokenizer.decode(*ids), text);
  }

  void idsWithoutATokenShowAsReplacementCharacters() {
    const Tokenizer tokenizer = fixtureTokenizer();
    QVERIFY(!tokenizer.contains(-1));
    QVERIFY(!tokenizer.contains(tokenizer.vocabSize()));
    QCOMPARE(tokenizer.decode(std::vector<TokenId>{tokenizer.vocabSize()}), "\uFFFD");
    QVERIFY(!tokenizer.tokenId("<｜nobody｜>").has_value());
  }

  void unsupportedFilesAreRefusedByName_data() {
    QTest::addColumn<QByteArray>("from");
    QTest::addColumn<QByteArray>("to");
    QTest::addColumn<QByteArray>("named");
    const auto row = [](const char* name, const char* from, const char* to, const char* named) {
      QTest::newRow(name) << QByteArray(from) << QByteArray(to) << QByteArray(named);
    };
    row("normalizer", R"("normalizer":null)", R"("normalizer":{"type":"NFKC"})", "NFKC");
    row("model", R"("type":"BPE")", R"("type":"Unigram")", "Unigram");
    row("behavior", R"("behavior":"Isolated")", R"("behavior":"Removed")", "Isolated");
    row("pre-tokenizer", R"("type":"Split")", R"("type":"Metaspace")", "Metaspace");
    row("byte fallback", R"("byte_fallback":false)", R"("byte_fallback":true)", "byte_fallback");
    row("own regex", R"("use_regex":false)", R"("use_regex":true)", "use_regex");
    row("lstrip", R"("lstrip":false)", R"("lstrip":true)", "lstrip");
    row("bad expression", R"(\\p{N}{1,3})", R"(\\p{N}{1,3)(})", "expression");
    row("empty expression", R"(\\p{N}{1,3})", R"(\\p{N}*)", "empty text");
    row("unknown merge", R"(["h","e"])", R"(["h","eeee"])", "eeee");
    row("byte missing", R"("!":)", R"("!!":)", "0x21");
    row("id too large", R"("!":)", R"("zz":999999999,"!":)", "999999999");
    row("not JSON", "{", "", "not JSON");
  }
  void unsupportedFilesAreRefusedByName() {
    QFETCH(QByteArray, from);
    QFETCH(QByteArray, to);
    QFETCH(QByteArray, named);
    const std::string json = fixtureWith(from.toStdString(), to.toStdString());
    QVERIFY2(!json.empty(), "the fixture does not hold the text to replace");
    const Result<Tokenizer> tokenizer = Tokenizer::parse(json, "file.json");
    QVERIFY(!tokenizer.ok());
    const std::string text = tokenizer.error().text();
    QVERIFY2(text.find(named.toStdString()) != std::string::npos, text.c_str());
    QVERIFY2(text.find("file.json") == 0, text.c_str());
  }

  void aFolderWithoutATokenizerIsNotFound() {
    const Result<Tokenizer> tokenizer = Tokenizer::load("/nonexistent/model");
    QVERIFY(!tokenizer.ok());
    QCOMPARE(tokenizer.error().code, ErrorCode::NotFound);
  }

  void jsonIsSpelledAsPythonSpellsIt_data() {
    QTest::addColumn<QByteArray>("source");
    QTest::addColumn<QByteArray>("spelled");
    const auto row = [](const char* source, const char* spelled) {
      QTest::newRow(source) << QByteArray(source) << QByteArray(spelled);
    };
    row(R"({"b":1,"a":[ ]})", R"({"b": 1, "a": []})");
    row("[1.0,1e-7,1e16,123456789012345680.0,0.0001,0.00001,-0.0,1E3,5e-324]",
        "[1.0, 1e-07, 1e+16, 1.2345678901234568e+17, 0.0001, 1e-05, -0.0, 1000.0, 5e-324]");
    row("[0.1,100.5,1.7976931348623157e308,9007199254740993.0]",
        "[0.1, 100.5, 1.7976931348623157e+308, 9007199254740992.0]");
    row("12345678901234567890123", "12345678901234567890123");
    row("[18446744073709551615,-9223372036854775808]",
        "[18446744073709551615, -9223372036854775808]");
    row("-123456789012345678901234567890", "-123456789012345678901234567890");
    row("\"\\u00e9\\n\\t\\\"\\\\\\/\\u0001\\u007f\"", "\"é\\n\\t\\\"\\\\/\\u0001\x7f\"");
    row(R"("\ud83d\ude42 \ud83d x \ude42 \\ud83d")", "\"🙂 \uFFFD x \uFFFD \\\\ud83d\"");
    row(R"({"a":1,"b":2,"a":3})", R"({"a": 3, "b": 2})");
    row("[true,false,null]", "[true, false, null]");
  }
  void jsonIsSpelledAsPythonSpellsIt() {
    QFETCH(QByteArray, source);
    QFETCH(QByteArray, spelled);
    const Result<JsonValue> value = parseJson(source.toStdString());
    QVERIFY2(value.ok(), value ? "" : value.error().message.c_str());
    QCOMPARE(pythonJson(*value), spelled.toStdString());
  }

  void repeatedKeysOfALargeObjectKeepTheirFirstPlace() {
    std::string source = "{";
    for (int i = 0; i < 40; ++i) {
      source += "\"k" + std::to_string(i % 20) + "\":" + std::to_string(i) + ",";
    }
    source.back() = '}';
    const Result<JsonValue> value = parseJson(source);
    QCOMPARE(value->members().size(), 20U);
    QCOMPARE(value->members()[3].first, "k3");
    QCOMPARE(value->members()[3].second.text(), "23");
  }

  void nestingBeyondTheLimitIsAnErrorAndNoCrash() {
    const std::size_t million = 1'000'000;
    const std::string deep = std::string(million, '[') + std::string(million, ']');
    const Result<JsonValue> value = parseJson(deep);
    QVERIFY(!value.ok());
    QCOMPARE(value.error().code, ErrorCode::InvalidArgument);
    const auto depth = static_cast<std::size_t>(kMaxJsonDepth);
    QVERIFY(parseJson(std::string(depth, '[') + std::string(depth, ']')).ok());
    QVERIFY(!parseJson(std::string(depth + 1, '[') + std::string(depth + 1, ']')).ok());
  }

  void brokenJsonIsRefusedWithItsOffset() {
    const Result<JsonValue> value = parseJson("[1, 2,, 3]");
    QVERIFY(!value.ok());
    QVERIFY2(value.error().message.find("byte 7") != std::string::npos,
             value.error().message.c_str());
    QVERIFY(!parseJson("").ok());
    QVERIFY(!parseJson("{} x").ok());
    QVERIFY(!parseJson("\"\xFF\"").ok());
  }

  void encodingSpeed_data() {
    QTest::addColumn<std::string>("text");
    constexpr std::size_t kMegabyte = 1'000'000;
    std::mt19937 random(5);
    std::string letters(kMegabyte, 'a');
    for (char& letter : letters) {
      letter = static_cast<char>('a' + random() % 26);
    }
    QTest::newRow("prose") << readFile(std::filesystem::path(TANDEM_SOURCE_DIR) / "LICENSE");
    QTest::newRow("one letter") << std::string(kMegabyte, 'e');
    QTest::newRow("spaces") << std::string(kMegabyte, ' ');
    QTest::newRow("one word of random letters") << letters;
  }
  void encodingSpeed() {
    // A measurement, not a test: engine/tokenizer/README.md has the figures.
    QFETCH(std::string, text);
    const Tokenizer tokenizer = fixtureTokenizer();
    QBENCHMARK_ONCE {
      QVERIFY(tokenizer.encode(text, AddedTokens::Recognise).ok());
    }
  }
};

QTEST_GUILESS_MAIN(TokenizerTest)
#include "tokenizer_test.moc"
