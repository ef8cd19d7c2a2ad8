// SPDX-License-Identifier: GPL-3.0-or-later
// How tokens are drawn: greedy, seeded, within what the parameters leave, in the right proportions;
// and what a sequence's own tokens do to the choice.
#include "engine/runtime/sampler.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

#include <QTest>

#include "engine/runtime/counter_random.h"
#include "engine/runtime/sampling_check.h"

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

std::vector<TokenId> ids(std::size_t count) {
  std::vector<TokenId> tokens(count);
  std::iota(tokens.begin(), tokens.end(), 0);
  return tokens;
}

/// What the parameters say, step by step and with no thought of speed: the logits of every token
/// after bias and penalties.
std::vector<double> plainLogits(const std::vector<float>& logits,
                                const api::SamplingParams& how,
                                const std::vector<TokenId>& prompt,
                                const std::vector<TokenId>& answer) {
  std::vector<double> result;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    const auto token = static_cast<TokenId>(i);
    double logit = logits[i];
    for (const api::LogitBias& bias : how.logitBias) {
      logit += bias.token == token ? bias.bias : 0;
    }
    const auto inPrompt = std::count(prompt.begin(), prompt.end(), token);
    const auto inAnswer = std::count(answer.begin(), answer.end(), token);
    if (inPrompt + inAnswer > 0) {
      logit = logit > 0 ? logit / how.repetitionPenalty : logit * how.repetitionPenalty;
    }
    logit -= how.frequencyPenalty * static_cast<double>(inAnswer);
    logit -= inAnswer > 0 ? how.presencePenalty : 0;
    result.push_back(logit);
  }
  return result;
}

/// The same for the probability of every token: 0 for those that are cut off.
std::vector<double> plainProbabilities(const std::vector<double>& logits,
                                       const api::SamplingParams& how) {
  const double largest = *std::max_element(logits.begin(), logits.end());
  std::vector<double> weights;
  for (const double logit : logits) {
    weights.push_back(std::exp((logit - largest) / how.temperature));
  }
  std::vector<TokenId> kept = ids(logits.size());
  std::stable_sort(kept.begin(), kept.end(), [&weights](TokenId a, TokenId b) {
    return weights[static_cast<std::size_t>(a)] > weights[static_cast<std::size_t>(b)];
  });
  const auto weightOf = [&weights](TokenId token) {
    return weights[static_cast<std::size_t>(token)];
  };
  std::erase_if(kept, [&](TokenId token) { return weightOf(token) < how.minP; });
  if (how.topK > 0 && kept.size() > static_cast<std::size_t>(how.topK)) {
    kept.resize(static_cast<std::size_t>(how.topK));
  }
  double total = 0;
  for (const TokenId token : kept) {
    total += weightOf(token);
  }
  double reached = 0;
  std::size_t inNucleus = 0;
  while (inNucleus < kept.size() && reached < how.topP * total) {
    reached += weightOf(kept[inNucleus++]);
  }
  kept.resize(how.topP < 1 ? inNucleus : kept.size());
  std::vector<double> probabilities(logits.size(), 0.0);
  total = 0;
  for (const TokenId token : kept) {
    total += weightOf(token);
  }
  for (const TokenId token : kept) {
    probabilities[static_cast<std::size_t>(token)] = weightOf(token) / total;
  }
  return probabilities;
}

/// A value that chi-square exceeds with probability 2.9e-7 (five standard deviations), by Wilson
/// and Hilferty's cube.
double chiSquareLimit(double freedom) {
  const double part = 2 / (9 * freedom);
  return freedom * std::pow(1 - part + 5 * std::sqrt(part), 3);
}

/// How far counts are from what was expected; tokens expected less than five times count as one.
struct ChiSquare {
  double value = 0;
  double freedom = -1;
  int impossible = 0;  // draws of tokens that cannot be drawn

  ChiSquare(const std::vector<int>& counts, const std::vector<double>& probabilities) {
    const double draws = std::accumulate(counts.begin(), counts.end(), 0.0);
    double rareMean = 0;
    double rareCount = 0;
    for (std::size_t i = 0; i < counts.size(); ++i) {
      const double mean = draws * probabilities[i];
      if (mean == 0) {
        impossible += counts[i];
      } else if (mean < 5) {
        rareMean += mean;
        rareCount += counts[i];
      } else {
        add(counts[i], mean);
      }
    }
    if (rareMean >= 5) {
      add(rareCount, rareMean);
    }
  }

 private:
  void add(double count, double mean) {
    value += (count - mean) * (count - mean) / mean;
    ++freedom;
  }
};

/// A made-up request: every parameter is neutral in some and wild in others.
struct RandomCase {
  std::vector<float> logits;
  api::SamplingParams how;
  std::vector<TokenId> prompt;
  std::vector<TokenId> answer;

  explicit RandomCase(unsigned seed) {
    std::mt19937 random(seed);
    const auto uniform = [&random](double low, double high) {
      return std::uniform_real_distribution<double>(low, high)(random);
    };
    const auto sometimes = [&uniform](double neutral, double low, double high) {
      return uniform(0, 1) < 0.5 ? neutral : uniform(low, high);
    };
    const auto vocab = static_cast<std::size_t>(uniform(2, 25));
    const auto token = [&] { return static_cast<TokenId>(uniform(0, static_cast<double>(vocab))); };
    for (std::size_t i = 0; i < vocab; ++i) {
      // Steps of a quarter, so that equal logits are frequent.
      logits.push_back(static_cast<float>(std::round(uniform(-12, 8)) / 4));
    }
    how.temperature = sometimes(1, 0.3, 2);
    how.topP = sometimes(1, 0.2, 0.99);
    how.topK = static_cast<std::int64_t>(sometimes(0, 1, 12));
    how.minP = sometimes(0, 0.01, 0.6);
    how.presencePenalty = sometimes(0, -2, 2);
    how.frequencyPenalty = sometimes(0, -1, 1);
    how.repetitionPenalty = sometimes(1, 0.5, 3);
    for (TokenId biased = token(); uniform(0, 1) < 0.3; biased = token()) {
      if (how.logitBias.empty() || how.logitBias.back().token < biased) {
        how.logitBias.push_back({biased, uniform(-3, 3)});
      }
    }
    for (int i = 0; i < 6; ++i) {
      prompt.push_back(token());
      answer.push_back(token());
    }
  }

  [[nodiscard]] SamplingState state() const {
    std::vector<TokenId> tokens = prompt;
    tokens.insert(tokens.end(), answer.begin(), answer.end());
    return {how, std::nullopt, tokens, static_cast<std::int64_t>(prompt.size())};
  }
};

}  // namespace

class SamplerTest : public QObject {
  Q_OBJECT

  Sampler sampler_;

  /// The token that is chosen from `logits`.
  static TokenId chosen(Sampler& sampler,
                        const std::vector<float>& logits,
                        const api::SamplingParams& how,
                        const SamplingState& state,
                        std::uint64_t seed,
                        std::int64_t position) {
    return sampler.sample(logits, how, state, seed, position).value().token;
  }

  TokenId chosen(const std::vector<float>& logits,
                 const api::SamplingParams& how,
                 std::uint64_t seed = 1,
                 std::int64_t position = 0) {
    return chosen(sampler_, logits, how, SamplingState(), seed, position);
  }

  std::vector<int> histogram(const std::vector<float>& logits,
                             const api::SamplingParams& how,
                             int draws,
                             const SamplingState& state = {}) {
    std::vector<int> counts(logits.size());
    for (int i = 0; i < draws; ++i) {
      ++counts[static_cast<std::size_t>(chosen(sampler_, logits, how, state, 42, i))];
    }
    return counts;
  }

  /// Token 3 ends the thinking.
  static api::ThinkingBudget budget(std::int64_t tokens, std::vector<TokenId> end = {3}) {
    return {tokens, true, std::move(end)};
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
    QCOMPARE(chosen(logits, params(0)), 1);
  }

  void theSameSeedAndPositionGiveTheSameToken() {
    const std::vector<float> logits(1000, 0.0F);
    const TokenId first = chosen(logits, params(1), 5, 17);
    Sampler another;
    QCOMPARE(chosen(another, logits, params(1), {}, 5, 17), first);
    int differing = 0;
    for (int position = 0; position < 20; ++position) {
      differing +=
          chosen(logits, params(1), 5, position) != chosen(logits, params(1), 6, position) ? 1 : 0;
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
    const Result<SampledToken> token =
        sampler_.sample(std::vector<float>{0.0F, value}, params(0), {}, 1, 7);
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

  void drawsFollowWhatTheParametersSayWordByWord_data() {
    QTest::addColumn<unsigned>("seed");
    for (unsigned seed = 0; seed < 120; ++seed) {
      QTest::addRow("%u", seed) << seed;
    }
  }

  void drawsFollowWhatTheParametersSayWordByWord() {
    QFETCH(unsigned, seed);
    const RandomCase c(seed);
    const std::vector<double> expected =
        plainProbabilities(plainLogits(c.logits, c.how, c.prompt, c.answer), c.how);
    const ChiSquare found(histogram(c.logits, c.how, 20000, c.state()), expected);
    QCOMPARE(found.impossible, 0);
    if (found.freedom >= 1) {
      QVERIFY2(
          found.value < chiSquareLimit(found.freedom),
          qPrintable(
              QStringLiteral("%1 with %2 degrees of freedom").arg(found.value).arg(found.freedom)));
    }
  }

  void theStatisticalTestNoticesASlightlyWrongDistribution() {
    // Against the proportions of temperature 1, draws at 0.9 must stand out, or the test above
    // says nothing.
    const std::vector<double> base{0.5, 0.25, 0.15, 0.07, 0.03};
    const ChiSquare found(histogram(logarithms(base), params(0.9), 20000), base);
    QVERIFY(found.value > 2 * chiSquareLimit(found.freedom));
  }

  void greedyTakesTheLargestAfterBiasAndPenalties() {
    for (unsigned seed = 0; seed < 500; ++seed) {
      RandomCase c(seed);
      const std::vector<double> expected = plainLogits(c.logits, c.how, c.prompt, c.answer);
      c.how.temperature = 0;
      const TokenId token = chosen(sampler_, c.logits, c.how, c.state(), 1, 0);
      // The sampler keeps floats, so of two that differ in the last digits it may take either.
      QVERIFY(expected[static_cast<std::size_t>(token)] >=
              *std::max_element(expected.begin(), expected.end()) - 1e-5);
    }
  }

  void aBiasOfAHundredDecidesAndOneOfMinusAHundredForbids() {
    const std::vector<float> logits{1.0F, 9.0F, 3.0F};
    api::SamplingParams how = params(0);
    how.logitBias = {{2, 100.0}};
    QCOMPARE(chosen(logits, how), 2);
    how.logitBias = {{1, -100.0}};
    QCOMPARE(chosen(logits, how), 2);
    how.temperature = 1;
    QCOMPARE(histogram(logits, how, 1000)[1], 0);
    how.logitBias = {{3, 100.0}, {-1, 100.0}};  // outside the vocabulary
    how.temperature = 0;
    QCOMPARE(chosen(logits, how), 1);
  }

  void ofEquallyLikelyTokensTopKKeepsTheLowestIds() {
    api::SamplingParams how = params(1);
    how.topK = 3;
    const std::vector<int> counts = histogram({0.0F, 1.0F, 0.0F, 0.0F, 0.0F}, how, 2000);
    QVERIFY(counts[0] > 0 && counts[1] > 0 && counts[2] > 0);
    QCOMPARE(counts[3] + counts[4], 0);
  }

  void presenceIsTakenOffOnceAndFrequencyEachTime() {
    // After 1, 1, 2: 1 loses 0.5 + 2 * 0.3 = 1.1, and 2 loses 0.8. The prompt's 0 loses nothing.
    api::SamplingParams how = params(0);
    how.presencePenalty = 0.5;
    how.frequencyPenalty = 0.3;
    const std::vector<TokenId> tokens{0, 0, 0, 1, 1, 2};
    const SamplingState state(how, std::nullopt, tokens, 3);
    QCOMPARE(chosen(sampler_, {0.0F, 1.09F, 0.0F}, how, state, 1, 6), 0);
    QCOMPARE(chosen(sampler_, {0.0F, 1.11F, 0.0F}, how, state, 1, 6), 1);
    QCOMPARE(chosen(sampler_, {0.0F, 0.0F, 0.79F}, how, state, 1, 6), 0);
    QCOMPARE(chosen(sampler_, {0.0F, 0.0F, 0.81F}, how, state, 1, 6), 2);
  }

  void repetitionCountsThePromptAndPushesNegativeLogitsFurtherDown() {
    api::SamplingParams how = params(0);
    how.repetitionPenalty = 2;
    const SamplingState state(how, std::nullopt, std::vector<TokenId>{1, 2}, 1);
    QCOMPARE(chosen(sampler_, {1.1F, 2.0F, 2.0F}, how, state, 1, 2), 0);
    QCOMPARE(chosen(sampler_, {0.9F, 2.0F, 2.0F}, how, state, 1, 2), 1);
    QCOMPARE(chosen(sampler_, {-1.9F, -1.0F, -1.0F}, how, state, 1, 2), 0);
    QCOMPARE(chosen(sampler_, {-2.1F, -1.0F, -1.0F}, how, state, 1, 2), 1);
  }

  void aStateBuiltFromAllTokensIsTheOneThatWasToldEach() {
    for (unsigned seed = 0; seed < 50; ++seed) {
      const RandomCase c(seed);
      SamplingState told(c.how, std::nullopt, c.prompt, static_cast<std::int64_t>(c.prompt.size()));
      for (const TokenId token : c.answer) {
        told.accept(token);
      }
      const SamplingState built = c.state();
      QVERIFY(std::equal(told.seen().begin(),
                         told.seen().end(),
                         built.seen().begin(),
                         built.seen().end()));
    }
  }

  void withoutPenaltiesNothingIsKept() {
    SamplingState state(params(1, 0.9), std::nullopt, ids(1000), 500);
    state.accept(7);
    QVERIFY(state.seen().empty());
    QVERIFY(!state.forcedToken());
  }

  void rowsOfOneStepAreSampledOneAfterTheOther() {
    // As when drafts are verified: each row's token counts for the next row of the same step.
    api::SamplingParams how = params(0);
    how.presencePenalty = 1;
    SamplingState state(how, std::nullopt, {}, 0);
    const std::vector<float> row{1.0F, 0.9F, 0.8F};
    std::vector<TokenId> tokens;
    for (int i = 0; i < 4; ++i) {
      tokens.push_back(chosen(sampler_, row, how, state, 1, i));
      state.accept(tokens.back());
    }
    QCOMPARE(tokens, (std::vector<TokenId>{0, 1, 2, 0}));
  }

  void whatWasSampledBeforeDoesNotMatter() {
    for (unsigned seed = 0; seed < 100; ++seed) {
      const RandomCase c(seed);
      const RandomCase mate(seed + 1000);
      Sampler fresh;
      const TokenId alone = chosen(fresh, c.logits, c.how, c.state(), seed, 3);
      (void)chosen(sampler_, mate.logits, mate.how, mate.state(), 9, 4);
      QCOMPARE(chosen(sampler_, c.logits, c.how, c.state(), seed, 3), alone);
    }
  }

  void logprobsAreThoseOfTheModelItself() {
    const std::vector<double> probabilities{0.125, 0.5, 0.125, 0.25};
    api::SamplingParams how = params(0);
    how.logitBias = {{1, -100.0}};
    how.repetitionPenalty = 3;
    how.logprobs = true;
    how.topLogprobs = 3;
    const SamplingState state(how, std::nullopt, std::vector<TokenId>{3}, 1);
    const SampledToken sampled =
        sampler_.sample(logarithms(probabilities), how, state, 1, 0).value();
    QCOMPARE(sampled.token, 0);  // 1 is forbidden, 3 is a repetition
    QVERIFY(sampled.logprobs.has_value());
    // Logits are floats of size 2: one rounding of 1.2e-7 each.
    const auto near = [](double a, double b) { return std::abs(a - b) < 1e-6; };
    QVERIFY(near(sampled.logprobs->logprob, std::log(0.125)));
    const std::vector<api::TokenLogprob>& top = sampled.logprobs->top;
    QCOMPARE(top.size(), 3U);
    QVERIFY(top[0].token == 1 && near(top[0].logprob, std::log(0.5)));
    QVERIFY(top[1].token == 3 && near(top[1].logprob, std::log(0.25)));
    QVERIFY(top[2].token == 0 && near(top[2].logprob, std::log(0.125)));  // not 2: the lower id
  }

  void logprobsAreMadeOnlyWhenAskedFor() {
    api::SamplingParams how = params(1);
    QVERIFY(!sampler_.sample(std::vector<float>{0, 1}, how, {}, 1, 0).value().logprobs);
    how.logprobs = true;
    const SampledToken sampled = sampler_.sample(std::vector<float>{0, 1}, how, {}, 1, 0).value();
    QVERIFY(sampled.logprobs && sampled.logprobs->top.empty());
    how.topLogprobs = 20;  // more than there are tokens
    QCOMPARE(sampler_.sample(std::vector<float>{0, 1}, how, {}, 1, 0).value().logprobs->top.size(),
             2U);
  }

  void spentThinkingIsEndedByForce() {
    const std::vector<float> thinks{5.0F, 0.0F, 0.0F, -100.0F};
    SamplingState state(params(0), budget(2), {}, 0);
    std::vector<TokenId> tokens;
    for (int i = 0; i < 8; ++i) {
      tokens.push_back(chosen(sampler_, thinks, params(0), state, 1, i));
      state.accept(tokens.back());
    }
    // Once, although the model goes on as before.
    QCOMPARE(tokens, (std::vector<TokenId>{0, 0, 3, 0, 0, 0, 0, 0}));
  }

  void aBudgetOfNothingEndsTheThinkingAtOnce() {
    SamplingState state(params(0), budget(0), {}, 0);
    QCOMPARE(state.forcedToken(), std::optional<TokenId>(3));
    state.accept(3);
    QVERIFY(!state.forcedToken());
  }

  void aModelThatEndsItsThinkingIsNotForced() {
    SamplingState state(params(0), budget(3), {}, 0);
    for (const TokenId token : {0, 3, 0, 0, 0, 0}) {
      state.accept(token);
      QVERIFY(!state.forcedToken());
    }
  }

  void nothingIsForcedWhenThePromptDoesNotThink() {
    api::ThinkingBudget outside = budget(1);
    outside.startsInside = false;
    SamplingState state(params(0), outside, {}, 0);
    for (int i = 0; i < 5; ++i) {
      state.accept(0);
      QVERIFY(!state.forcedToken());
    }
  }

  void anEndOfSeveralTokensIsWrittenWhole() {
    SamplingState state(params(0), budget(2, {3, 1, 2}), {}, 0);
    state.accept(0);
    state.accept(3);  // the model's own, which may be chance
    std::vector<TokenId> forced;
    while (const std::optional<TokenId> token = state.forcedToken()) {
      forced.push_back(*token);
      state.accept(*token);
      QVERIFY(forced.size() < 10);
    }
    QCOMPARE(forced, (std::vector<TokenId>{3, 1, 2}));
  }

  void aBudgetIsCountedOnAfterARebuild() {
    // The prompt has tokens 0 too; they are not thinking of this answer.
    const std::vector<TokenId> tokens{0, 0, 0, 0, 0};
    QVERIFY(!SamplingState(params(0), budget(3), tokens, 3).forcedToken());
    QVERIFY(SamplingState(params(0), budget(3), tokens, 2).forcedToken().has_value());
  }

  void parametersOutOfRangeAreRefusedByName_data() {
    QTest::addColumn<int>("index");
    QTest::addColumn<QString>("message");
    const char* messages[] = {"temperature is 2.5; it must be 0 to 2",
                              "topP is 0",
                              "topK is -1",
                              "minP is nan",
                              "presencePenalty is -3",
                              "frequencyPenalty is 2.5",
                              "repetitionPenalty is 0;",
                              "maxTokens is 0",
                              "topLogprobs is 21",
                              "logitBias names token 50; the vocabulary has ids 0 to 49",
                              "a logitBias is 101",
                              "the thinking budget is -1 tokens",
                              "the end of the thinking names token -1"};
    for (int i = 0; i < 13; ++i) {
      QTest::newRow(messages[i]) << i << QString::fromUtf8(messages[i]);
    }
  }

  void parametersOutOfRangeAreRefusedByName() {
    QFETCH(int, index);
    QFETCH(QString, message);
    api::TokenRequest request;
    QVERIFY(checkSampling(request, 50).ok());
    api::SamplingParams& how = request.sampling;
    request.thinking = budget(0);
    const std::vector<std::function<void()>> breaks{[&] { how.temperature = 2.5; },
                                                    [&] { how.topP = 0; },
                                                    [&] { how.topK = -1; },
                                                    [&] { how.minP = std::nan(""); },
                                                    [&] { how.presencePenalty = -3; },
                                                    [&] { how.frequencyPenalty = 2.5; },
                                                    [&] { how.repetitionPenalty = 0; },
                                                    [&] { how.maxTokens = 0; },
                                                    [&] { how.topLogprobs = 21; },
                                                    [&] {
                                                      how.logitBias = {{50, 0}};
                                                    },
                                                    [&] {
                                                      how.logitBias = {{49, 101}};
                                                    },
                                                    [&] { request.thinking->tokens = -1; },
                                                    [&] { request.thinking->endTokens = {-1}; }};
    QVERIFY(checkSampling(request, 50).ok());
    breaks[static_cast<std::size_t>(index)]();
    const Result<void> checked = checkSampling(request, 50);
    QVERIFY(!checked.ok());
    QCOMPARE(checked.error().code, ErrorCode::InvalidArgument);
    QVERIFY2(QString::fromStdString(checked.error().message).startsWith(message),
             checked.error().message.c_str());
  }
};

QTEST_APPLESS_MAIN(SamplerTest)
#include "sampler_test.moc"
