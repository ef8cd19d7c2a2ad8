// SPDX-License-Identifier: GPL-3.0-or-later
// How tokens are drawn: greedy, seeded, within the nucleus, and in the right proportions.
#include "engine/runtime/sampler.h"

#include <cmath>
#include <limits>
#include <vector>

#include <QTest>

#include "engine/runtime/counter_random.h"

using namespace tandem;
using namespace tandem::runtime;

namespace {

api::SamplingParams params(double temperature, double topP = 1.0) {
  api::SamplingParams result;
  result.temperature = temperature;
  result.topP = topP;
  return result;
}

std::vector<float> logarithms(const std::vector<double>& probabilities) {
  std::vector<float> logits;
  for (const double probability : probabilities) {
    logits.push_back(static_cast<float>(std::log(probability)));
  }
  return logits;
}

}  // namespace

class SamplerTest : public QObject {
  Q_OBJECT

  Sampler sampler_;

  std::vector<int> histogram(const std::vector<float>& logits,
                             const api::SamplingParams& how,
                             int draws) {
    std::vector<int> counts(logits.size());
    for (int i = 0; i < draws; ++i) {
      const Result<TokenId> token = sampler_.sample(logits, how, 42, i);
      ++counts[static_cast<std::size_t>(token.value())];
    }
    return counts;
  }

 private slots:
  void philoxGivesThePublishedValues() {
    // Known answers of the Random123 library for philox4x32, 10 rounds.
    using Words = std::array<std::uint32_t, 4>;
    QCOMPARE(philox4x32({0, 0, 0, 0}, {0, 0}),
             (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
    QCOMPARE(philox4x32({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}),
             (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
    QCOMPARE(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
             (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
  }

  void uniformNumbersStayInTheirIntervalAndDifferBySeedAndPosition() {
    double sum = 0;
    constexpr int kDraws = 20000;
    for (int i = 0; i < kDraws; ++i) {
      const double value = uniformAt(1, static_cast<std::uint64_t>(i));
      QVERIFY(value >= 0 && value < 1);
      sum += value;
    }
    // The mean of n uniform numbers has standard deviation 1/sqrt(12 n); six of them is 1 in 5e8.
    QVERIFY(std::abs(sum / kDraws - 0.5) < 6 / std::sqrt(12.0 * kDraws));
    QVERIFY(uniformAt(1, 0) != uniformAt(2, 0));
    QVERIFY(uniformAt(1, 0) != uniformAt(1, 1));
    QVERIFY(uniformAt(1, 0) != uniformAt(1ULL << 40U, 0));
  }

  void greedyTakesTheLargestAndOfEqualOnesTheFirst() {
    const std::vector<float> logits{1.0F, 3.0F, 3.0F, 2.0F};
    QCOMPARE(*sampler_.sample(logits, params(0), 1, 0), 1);
  }

  void theSameSeedAndPositionGiveTheSameToken() {
    const std::vector<float> logits(1000, 0.0F);
    const TokenId first = *sampler_.sample(logits, params(1), 5, 17);
    Sampler another;
    QCOMPARE(*another.sample(logits, params(1), 5, 17), first);
    int differing = 0;
    for (int position = 0; position < 20; ++position) {
      differing += *sampler_.sample(logits, params(1), 5, position) !=
                           *sampler_.sample(logits, params(1), 6, position)
                       ? 1
                       : 0;
    }
    QVERIFY(differing >= 15);  // equal by chance: 1 in 1000 each
  }

  void drawsFollowTheDistribution_data() {
    QTest::addColumn<double>("temperature");
    QTest::newRow("as it is") << 1.0;
    QTest::newRow("cooler") << 0.5;
    QTest::newRow("hotter") << 2.0;
  }

  void drawsFollowTheDistribution() {
    QFETCH(double, temperature);
    const std::vector<double> base{0.5, 0.25, 0.15, 0.07, 0.03};
    std::vector<double> expected;
    double total = 0;
    for (const double probability : base) {
      expected.push_back(std::pow(probability, 1 / temperature));
      total += expected.back();
    }
    constexpr int kDraws = 50000;
    const std::vector<int> counts = histogram(logarithms(base), params(temperature), kDraws);
    double chiSquare = 0;
    for (std::size_t i = 0; i < base.size(); ++i) {
      const double mean = kDraws * expected[i] / total;
      chiSquare += (counts[i] - mean) * (counts[i] - mean) / mean;
    }
    // Four degrees of freedom: a correct sampler exceeds 29 with probability 7.8e-6.
    QVERIFY2(chiSquare < 29, qPrintable(QString::number(chiSquare)));
  }

  void theNucleusIsTheSmallestSetThatReachesTopP_data() {
    QTest::addColumn<double>("topP");
    QTest::addColumn<int>("size");
    QTest::newRow("only the first") << 0.4 << 1;
    QTest::newRow("the second is needed") << 0.55 << 2;
    QTest::newRow("three") << 0.8 << 3;
    QTest::newRow("all") << 1.0 << 5;
  }

  void theNucleusIsTheSmallestSetThatReachesTopP() {
    QFETCH(double, topP);
    QFETCH(int, size);
    // Shuffled ids, so that the order of probability is not the order of ids.
    const std::vector<int> counts =
        histogram(logarithms({0.03, 0.25, 0.5, 0.15, 0.07}), params(1, topP), 5000);
    const std::vector<std::size_t> byProbability{2, 1, 3, 4, 0};
    for (std::size_t rank = 0; rank < byProbability.size(); ++rank) {
      QCOMPARE(counts[byProbability[rank]] > 0, static_cast<int>(rank) < size);
    }
  }

  void equalTokensAtTheEdgeOfTheNucleusAreTakenByLowestId() {
    const std::vector<int> counts =
        histogram(logarithms({0.25, 0.25, 0.25, 0.25}), params(1, 0.5), 2000);
    QVERIFY(counts[0] > 0 && counts[1] > 0);
    QCOMPARE(counts[2] + counts[3], 0);
  }

  void brokenLogitsAreAnErrorAndNotAToken_data() {
    QTest::addColumn<float>("value");
    QTest::newRow("not a number") << std::numeric_limits<float>::quiet_NaN();
    QTest::newRow("infinite") << std::numeric_limits<float>::infinity();
  }

  void brokenLogitsAreAnErrorAndNotAToken() {
    QFETCH(float, value);
    const Result<TokenId> token = sampler_.sample(std::vector<float>{0.0F, value}, params(0), 1, 7);
    QVERIFY(!token.ok());
    QCOMPARE(token.error().code, ErrorCode::Internal);
    QVERIFY(token.error().message.find("position 7") != std::string::npos);
  }

  void tokensThatAreRuledOutAreNeverDrawn() {
    const float never = -std::numeric_limits<float>::infinity();
    const std::vector<int> counts = histogram({never, 0.0F, never, 0.0F}, params(1), 1000);
    QCOMPARE(counts[0] + counts[2], 0);
    QVERIFY(counts[1] > 0 && counts[3] > 0);
  }
};

QTEST_APPLESS_MAIN(SamplerTest)
#include "sampler_test.moc"
