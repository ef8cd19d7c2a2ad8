// SPDX-License-Identifier: GPL-3.0-or-later
// The forward pass against the oracle: every back end, number of ranks, chunk size and numerics.
#include <algorithm>
#include <array>

#include <QTest>

#include "engine/comm/solo_communicator.h"
#include "engine/model/deepseek_v4.h"
#include "tests/support/golden_file.h"
#include "tests/unit/engine/model/oracle_comparison.h"

namespace {

using tandem::TokenId;
using tandem::kernels::Numerics;
using tandem::model::Backend;
using tandem::model::DeepseekV4;
using tandem::model::ModelOptions;
using tandem::tests::GoldenFile;
using namespace tandem::test;

const std::string kMicro = TANDEM_SOURCE_DIR "/tests/golden/micro";

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
    auto a = (*model)->newSequence(150);
    auto b = (*model)->newSequence(49);
    const std::array<tandem::model::SequenceChunk, 2> chunks{
        tandem::model::SequenceChunk{a->get(), first, 1},
        tandem::model::SequenceChunk{b->get(), second, 1}};
    std::vector<float> together(2 * vocab);
    QVERIFY((*model)->forward(chunks, together).ok());
    auto c = (*model)->newSequence(49);
    const tandem::model::SequenceChunk only{c->get(), second, 1};
    std::vector<float> single(vocab);
    QVERIFY((*model)->forward({&only, 1}, single).ok());
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
      auto state =
          (*model)->newSequence(static_cast<std::int64_t>(feedNext.size() + expected.size()));
      std::vector<std::int32_t> got;
      std::vector<float> logits(static_cast<std::size_t>((*model)->vocabSize()));
      while (got.size() < expected.size()) {
        const tandem::model::SequenceChunk chunk{state->get(), feedNext, 1};
        QVERIFY((*model)->forward({&chunk, 1}, logits).ok());
        got.push_back(static_cast<std::int32_t>(std::max_element(logits.begin(), logits.end()) -
                                                logits.begin()));
        feedNext = {got.back()};
      }
      QCOMPARE(got, expected);
    }
  }

  void aTokenOutsideTheVocabularyIsRefusedAndChangesNothing() {
    tandem::comm::SoloCommunicator alone;
    auto model = DeepseekV4::load(kMicro + "/model", {}, alone, nullptr);
    QVERIFY(model.ok());
    auto state = (*model)->newSequence(8);
    std::vector<float> logits(static_cast<std::size_t>((*model)->vocabSize()));
    for (const TokenId bad : {-1, 96}) {
      const std::vector<TokenId> tokens{3, bad};
      const tandem::model::SequenceChunk chunk{state->get(), tokens, 1};
      const auto done = (*model)->forward({&chunk, 1}, logits);
      QVERIFY(!done.ok());
      QCOMPARE(done.error().code, tandem::ErrorCode::OutOfRange);
      QVERIFY(done.error().message.find(std::to_string(bad)) != std::string::npos);
      QCOMPARE((*state)->length(), 0);
    }
  }

  void aSequenceBeyondTheContextIsRefused() {
    tandem::comm::SoloCommunicator alone;
    auto model = DeepseekV4::load(kMicro + "/model", {}, alone, nullptr);
    QVERIFY(model.ok());
    QVERIFY(!(*model)->newSequence(4097).ok());
    auto state = (*model)->newSequence(3);
    const std::vector<TokenId> four{1, 2, 3, 4};
    const tandem::model::SequenceChunk chunk{state->get(), four, 0};
    const auto done = (*model)->forward({&chunk, 1}, {});
    QVERIFY(!done.ok());
    QCOMPARE(done.error().code, tandem::ErrorCode::OutOfRange);
  }
};

QTEST_APPLESS_MAIN(ModelTest)
#include "model_test.moc"
