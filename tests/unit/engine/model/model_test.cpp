// SPDX-License-Identifier: GPL-3.0-or-later
// The forward pass against the oracle: every back end, number of ranks, chunk size and numerics.
#include <algorithm>
#include <array>

#include <QTest>

#include "engine/comm/solo_communicator.h"
#include "engine/model/deepseek_v4.h"
#include "engine/model/lone_sequence.h"
#include "tests/support/golden_file.h"
#include "tests/unit/engine/model/oracle_comparison.h"

namespace {

using tandem::TokenId;
using tandem::kernels::Numerics;
using tandem::kvcache::KvCache;
using tandem::model::Backend;
using tandem::model::CacheSettings;
using tandem::model::DeepseekV4;
using tandem::model::LoneSequence;
using tandem::model::ModelOptions;
using tandem::model::SequenceChunk;
using tandem::tests::GoldenFile;
using namespace tandem::test;

const std::string kMicro = TANDEM_SOURCE_DIR "/tests/golden/micro";

TokenId argMax(const std::vector<float>& logits) {
  return static_cast<TokenId>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

}  // namespace

class ModelTest : public QObject {
  Q_OBJECT

 private slots:
  void exactLogitsEqualTheOracles_data() { addExactRows({Backend::Reference, Backend::Cpu}); }
  void exactLogitsEqualTheOracles() {
    QFETCH(Backend, backend);
    QFETCH(int, ranks);
    QFETCH(int, chunk);
    checkExact(kMicro, kMicro + "/model", backend, ranks, chunk);
  }

  void cacheLogitsAreNearTheOracles_data() {
    QTest::addColumn<int>("ranks");
    QTest::newRow("one rank") << 1;
    QTest::newRow("two ranks") << 2;
  }
  void cacheLogitsAreNearTheOracles() {
    QFETCH(int, ranks);
    checkCache(kMicro, kMicro + "/model", ranks);
  }

  void actBlocksEqualTheOraclesWhereTheirChoicesDo_data() {
    addBackends({Backend::Reference, Backend::Cpu});
  }
  void actBlocksEqualTheOraclesWhereTheirChoicesDo() {
    QFETCH(Backend, backend);
    checkActBlocks(kMicro + "/golden.safetensors",
                   kMicro + "/model",
                   kMicro + "/act_ties.safetensors",
                   "p150",
                   backend);
  }

  void aRowsLogitsDoNotDependOnTheChunking_data() {
    addBackends({Backend::Reference, Backend::Cpu});
  }
  void aRowsLogitsDoNotDependOnTheChunking() {
    QFETCH(Backend, backend);
    auto golden = GoldenFile::open(kMicro + "/golden.safetensors");
    QVERIFY(golden.ok());
    const std::vector<TokenId> tokens = golden->integers("p150.ids");
    const ModelOptions options{.backend = backend,
                               .numerics = Numerics::Cache,
                               .threads = 2,
                               .maxStepTokens = 256};
    std::vector<Scored> runs;
    for (const std::size_t chunk : {std::size_t{1}, std::size_t{7}, std::size_t{64}, kWhole}) {
      auto scored = onRanks(kMicro + "/model", options, 1, [&](DeepseekV4& model) {
        return feed(model, tokens, chunk, tokens.size());
      });
      QVERIFY(scored.ok());
      runs.push_back(*scored);
    }
    for (const Scored& run : runs) {
      QCOMPARE(run.logits, runs.front().logits);
      QCOMPARE(run.drafts, runs.front().drafts);
    }
  }

  void twoSequencesInOneStepGetWhatEachGetsAlone() {
    auto golden = GoldenFile::open(kMicro + "/golden.safetensors");
    QVERIFY(golden.ok());
    const std::vector<TokenId> first = golden->integers("p150.ids");
    const std::vector<TokenId> second = golden->integers("p49.ids");
    tandem::comm::SoloCommunicator alone;
    auto model = DeepseekV4::load(kMicro + "/model", {}, alone, nullptr);
    QVERIFY(model.ok());
    const auto vocab = static_cast<std::size_t>((*model)->vocabSize());
    const CacheSettings settings{.capacity = {.blocks = 2, .sequences = 2}};
    auto cache = KvCache::create((*model)->cacheShape(settings), settings.capacity);
    QVERIFY(cache.ok());
    const std::array<std::int32_t, 2> blocks{1, 0};
    const std::array<SequenceChunk, 2> chunks{SequenceChunk{.slot = 1,
                                                            .tokens = first,
                                                            .blocks = std::span(blocks).first(1),
                                                            .logitRows = 1},
                                              SequenceChunk{.slot = 0,
                                                            .tokens = second,
                                                            .blocks = std::span(blocks).last(1),
                                                            .logitRows = 1}};
    std::vector<float> together(2 * vocab);
    QVERIFY((*model)->forward(**cache, chunks, {.logits = together}).ok());
    auto lone = LoneSequence::create(**model, 49);
    QVERIFY(lone.ok());
    std::vector<float> single(vocab);
    QVERIFY(lone->feed(second, {.logits = single}).ok());
    QVERIFY(std::equal(single.begin(),
                       single.end(),
                       together.begin() + static_cast<std::ptrdiff_t>(vocab)));
  }

  void greedyDecodingEqualsTheOracles() {
    auto golden = GoldenFile::open(kMicro + "/golden.safetensors");
    QVERIFY(golden.ok());
    tandem::comm::SoloCommunicator alone;
    auto model = DeepseekV4::load(kMicro + "/model", {.numerics = Numerics::Exact}, alone, nullptr);
    QVERIFY(model.ok());
    for (const std::string prompt : {"p6", "p150"}) {
      const std::vector<std::int32_t> expected = golden->integers("exact." + prompt + ".greedy");
      std::vector<TokenId> feedNext = golden->integers(prompt + ".ids");
      auto lone =
          LoneSequence::create(**model,
                               static_cast<std::int64_t>(feedNext.size() + expected.size()));
      QVERIFY(lone.ok());
      std::vector<std::int32_t> got;
      std::vector<float> logits(static_cast<std::size_t>((*model)->vocabSize()));
      while (got.size() < expected.size()) {
        QVERIFY(lone->feed(feedNext, {.logits = logits}).ok());
        got.push_back(argMax(logits));
        feedNext = {got.back()};
      }
      QCOMPARE(got, expected);
    }
  }

  void aTokenOutsideTheVocabularyIsRefusedAndChangesNothing() {
    tandem::comm::SoloCommunicator alone;
    auto model = DeepseekV4::load(kMicro + "/model", {}, alone, nullptr);
    QVERIFY(model.ok());
    auto lone = LoneSequence::create(**model, 8);
    QVERIFY(lone.ok());
    std::vector<float> logits(static_cast<std::size_t>((*model)->vocabSize()));
    for (const TokenId bad : {-1, 96}) {
      const auto done = lone->feed(std::vector<TokenId>{3, bad}, {.logits = logits});
      QVERIFY(!done.ok());
      QCOMPARE(done.error().code, tandem::ErrorCode::OutOfRange);
      QVERIFY(done.error().message.find(std::to_string(bad)) != std::string::npos);
      QCOMPARE(lone->length(), 0);
    }
  }

  void aSequenceBeyondTheContextIsRefused() {
    tandem::comm::SoloCommunicator alone;
    auto model = DeepseekV4::load(kMicro + "/model", {}, alone, nullptr);
    QVERIFY(model.ok());
    QVERIFY(!LoneSequence::create(**model, 4097).ok());
  }

  void aChunkBeyondItsBlocksIsRefused() {
    tandem::comm::SoloCommunicator alone;
    auto model = DeepseekV4::load(kMicro + "/model", {.maxStepTokens = 512}, alone, nullptr);
    QVERIFY(model.ok());
    auto lone = LoneSequence::create(**model, 3);  // one block
    QVERIFY(lone.ok());
    const auto done = lone->feed(std::vector<TokenId>(257, 1), {});
    QVERIFY(!done.ok());
    QCOMPARE(done.error().code, tandem::ErrorCode::OutOfRange);
  }

  void draftsAreVerifiedRowsOfTheSerialAnswer_data() {
    QTest::addColumn<int>("drafts");
    for (const int drafts : {1, 2, 3}) {
      QTest::addRow("%d", drafts) << drafts;
    }
  }
  void draftsAreVerifiedRowsOfTheSerialAnswer() {
    QFETCH(int, drafts);
    constexpr std::size_t kAnswer = 80;  // over the ends of windows of 4 and of 128
    tandem::comm::SoloCommunicator alone;
    auto model = DeepseekV4::load(kMicro + "/model", {}, alone, nullptr);
    QVERIFY(model.ok());
    const auto vocab = static_cast<std::size_t>((*model)->vocabSize());
    auto golden = GoldenFile::open(kMicro + "/golden.safetensors");
    QVERIFY(golden.ok());
    const std::vector<TokenId> prompt = golden->integers("p49.ids");
    std::vector<float> logits(vocab);

    std::vector<std::vector<float>> serial;
    auto plain = LoneSequence::create(**model, 256);
    QVERIFY(plain.ok());
    QVERIFY(plain->feed(prompt, {.logits = logits}).ok());
    serial.push_back(logits);
    while (serial.size() < kAnswer) {
      QVERIFY(plain->feed(std::vector<TokenId>{argMax(serial.back())}, {.logits = logits}).ok());
      serial.push_back(logits);
    }

    auto drafting = LoneSequence::create(**model, 256, true, drafts);
    QVERIFY(drafting.ok());
    QVERIFY(drafting->feed(prompt, {.logits = logits}).ok());
    QCOMPARE(logits, serial.front());
    std::size_t at = 0;  // the row of `serial` that the newest logits are
    int accepted = 0;
    while (at + 1 + static_cast<std::size_t>(drafts) < kAnswer) {
      const std::int64_t length = drafting->length();
      std::vector<float> rows((1 + static_cast<std::size_t>(drafts)) * vocab);
      std::vector<TokenId> guesses(static_cast<std::size_t>(drafts));
      QVERIFY(drafting->feedAndDraft(argMax(serial[at]), {.logits = rows, .drafts = guesses}).ok());
      std::size_t committed = 0;
      for (bool right = true; right; ++committed) {
        const std::vector<float> row(
            rows.begin() + static_cast<std::ptrdiff_t>(committed * vocab),
            rows.begin() + static_cast<std::ptrdiff_t>((committed + 1) * vocab));
        QCOMPARE(row, serial[at + 1 + committed]);
        right = committed < guesses.size() && guesses[committed] == argMax(row);
      }
      accepted += static_cast<int>(committed) - 1;
      at += committed;
      drafting->truncate(length + static_cast<std::int64_t>(committed));
    }
    qInfo("%d of %zu tokens were guessed", accepted, at);
  }

  void aRestoredSnapshotGoesOnAsIfNothingHadBeen() {
    tandem::comm::SoloCommunicator alone;
    auto model = DeepseekV4::load(kMicro + "/model", {.maxStepTokens = 512}, alone, nullptr);
    QVERIFY(model.ok());
    const auto vocab = static_cast<std::size_t>((*model)->vocabSize());
    std::vector<TokenId> tokens;
    for (int i = 0; i < 300; ++i) {
      tokens.push_back((i * 31 + i / 7) % 96);
    }
    auto whole = LoneSequence::create(**model, 400, true, 2);
    QVERIFY(whole.ok());
    std::vector<float> expected(44 * vocab);
    QVERIFY(whole->feed(tokens, {.logits = expected}).ok());

    const CacheSettings settings{.capacity = {.blocks = 4, .sequences = 2, .snapshots = 1},
                                 .mtp = true,
                                 .maxDrafts = 2};
    auto cache = KvCache::create((*model)->cacheShape(settings), settings.capacity);
    QVERIFY(cache.ok());
    const std::array<std::int32_t, 2> blocks{3, 2};
    const SequenceChunk begin{.slot = 0, .tokens = std::span(tokens).first(256), .blocks = blocks};
    QVERIFY((*model)->forward(**cache, {&begin, 1}, {}).ok());
    tandem::kvcache::CacheOperations operations;
    operations.saves.push_back({.slot = 0, .position = 256, .snapshot = 0});
    QVERIFY((*cache)->apply(operations).ok());
    // Another sequence takes the slot.
    const std::array<std::int32_t, 1> other{1};
    const SequenceChunk intruder{.slot = 0,
                                 .tokens = std::span(tokens).subspan(20, 200),
                                 .blocks = other};
    QVERIFY((*model)->forward(**cache, {&intruder, 1}, {}).ok());

    operations = {};
    operations.copies.push_back({.from = 3, .to = 0});
    operations.restores.push_back({.snapshot = 0, .slot = 1, .position = 256});
    QVERIFY((*cache)->apply(operations).ok());
    const std::array<std::int32_t, 2> copied{0, 2};
    const SequenceChunk rest{.slot = 1,
                             .position = 256,
                             .tokens = std::span(tokens).subspan(256),
                             .blocks = copied,
                             .logitRows = 44};
    std::vector<float> got(44 * vocab);
    QVERIFY((*model)->forward(**cache, {&rest, 1}, {.logits = got}).ok());
    QCOMPARE(got, expected);
    // The MTP module's state came back too: it guesses the same.
    std::vector<TokenId> guesses(2);
    std::vector<TokenId> expectedGuesses(2);
    std::vector<float> rows(3 * vocab);
    QVERIFY(whole->feedAndDraft(5, {.logits = rows, .drafts = expectedGuesses}).ok());
    const std::vector<TokenId> five{5};
    const SequenceChunk drafting{.slot = 1,
                                 .position = 300,
                                 .tokens = five,
                                 .blocks = copied,
                                 .logitRows = 1,
                                 .drafts = 2};
    QVERIFY((*model)->forward(**cache, {&drafting, 1}, {.logits = rows, .drafts = guesses}).ok());
    QCOMPARE(guesses, expectedGuesses);
  }

  void v4FlashCostsUnderFourThousandBytesAToken() {
    tandem::kvcache::CacheShape shape;
    shape.ratios.assign(43, 0);
    for (std::size_t i = 2; i < 43; ++i) {
      shape.ratios[i] = i % 2 == 0 ? 4 : 128;
    }
    using tandem::kernels::EntryFormat;
    shape.windowTokens = 128;
    shape.entry = {EntryFormat::KeyValue, 512, 64};
    shape.indexerKey = {EntryFormat::IndexerKey, 128, 0};
    const tandem::kvcache::CacheLayout layout(shape);
    // 21 layers of ratio 4 with 584 + 68 bytes every 4 tokens, 20 of 128 with 584.
    QVERIFY2(layout.bytesPerToken() >= 21 * (584 + 68) / 4.0 + 20 * 584 / 128.0,
             qPrintable(QString::number(layout.bytesPerToken())));
    QVERIFY(layout.bytesPerToken() <= 4000);
  }
};

QTEST_APPLESS_MAIN(ModelTest)
#include "model_test.moc"
