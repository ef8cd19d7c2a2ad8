// SPDX-License-Identifier: GPL-3.0-or-later
// Whatever happens around a request, its answer is the one it gets alone: batches, chunks, drafts,
// kept prefixes and cancellations on a real model. (runtime_test has preemptions, on a fake one.)
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include <QTest>

#include "engine/tools/load_model.h"
#include "engine/tools/local_engine.h"

using namespace tandem;
using namespace std::chrono_literals;

namespace {

const std::string kMicro = TANDEM_SOURCE_DIR "/tests/golden/micro/model";
const std::string kDemo = TANDEM_SOURCE_DIR "/resources/demo-model";

// A sanitized model is many times slower.
#if defined(__SANITIZE_THREAD__)
constexpr int kMicroRequests = 50;
constexpr int kDemoRequests = 0;
#elif defined(TANDEM_SANITIZED)
constexpr int kMicroRequests = 200;
constexpr int kDemoRequests = 0;
#else
constexpr int kMicroRequests = 2000;
constexpr int kDemoRequests = 100;
#endif

struct Case {
  api::TokenRequest request;
  bool cancelled = false;
  std::vector<TokenId> alone;
};

/// An answer as its client has it when the request is over.
struct Answer {
  std::vector<TokenId> tokens;
  std::optional<api::FinishReason> finish;
  std::string error;
};

Answer collect(api::OutputQueue& queue) {
  Answer answer;
  const auto deadline = std::chrono::steady_clock::now() + 120s;
  while (!answer.finish && std::chrono::steady_clock::now() < deadline) {
    if (const std::optional<api::RequestOutput> piece = queue.pop(100ms)) {
      answer.tokens.insert(answer.tokens.end(), piece->tokens.begin(), piece->tokens.end());
      answer.finish = piece->finish;
      answer.error = piece->error ? piece->error->text() : "";
    }
  }
  return answer;
}

/// Half of the prompts go on from an earlier one, some with its answer; half are drawn, the others
/// greedy.
std::vector<Case> makeCases(int count, std::int64_t vocabSize, std::mt19937& random) {
  constexpr int kLongestAddition = 160;
  constexpr int kLongestAnswer = 16;
  const auto upTo = [&random](int most) {
    return static_cast<int>(random() % static_cast<unsigned>(most)) + 1;
  };
  std::vector<Case> cases;
  for (int i = 0; i < count; ++i) {
    Case made;
    made.request.id = std::to_string(i);
    std::vector<TokenId>& prompt = made.request.prompt;
    if (i > 0 && random() % 2 == 0) {
      prompt = cases[random() % cases.size()].request.prompt;
      if (random() % 2 == 0) {
        prompt.resize(static_cast<std::size_t>(upTo(static_cast<int>(prompt.size()))));
      }
    }
    for (int more = upTo(upTo(kLongestAddition)); more > 0 && prompt.size() < 400; --more) {
      prompt.push_back(static_cast<TokenId>(random() % static_cast<unsigned>(vocabSize)));
    }
    if (prompt.size() > 100) {
      made.request.boundaries = {static_cast<std::int64_t>(prompt.size()) / 2};
    }
    made.request.sampling.maxTokens = upTo(kLongestAnswer);
    made.request.sampling.ignoreEos = true;
    made.request.sampling.temperature = random() % 2 == 0 ? 0.0 : 1.0;
    made.request.sampling.seed = random();
    made.request.sampling.presencePenalty = random() % 4 == 0 ? 0.5 : 0.0;
    made.cancelled = random() % 20 == 0;
    cases.push_back(std::move(made));
  }
  return cases;
}

api::EngineConfig configOf(const std::string& folder) {
  api::EngineConfig config;
  config.modelFolder = folder;
  config.threads = 1;
  config.contextTokens = 512;
  config.maxQueuedRequests = 100000;
  return config;
}

/// Prompts and drafts one after the other, nothing kept.
Result<void> answerAlone(const std::string& folder, int ranks, std::vector<Case>& cases) {
  Logger logger(0);
  api::EngineConfig config = configOf(folder);
  config.ranks = ranks;
  config.maxSequences = 1;
  config.prefixCache = false;
  config.speculative = false;
  const auto engine = tools::LocalEngine::start(config, tools::loadModel, logger);
  if (!engine) {
    return engine.error();
  }
  for (Case& one : cases) {
    const auto queue = (*engine)->client().submit(one.request);
    if (!queue) {
      return queue.error();
    }
    one.alone = collect(**queue).tokens;
  }
  return {};
}

/// Little memory: prefixes have to go all the time.
Result<std::unique_ptr<tools::LocalEngine>> startCramped(api::EngineConfig config, Logger& logger) {
  Result<std::unique_ptr<tools::LocalEngine>> smallest =
      Error{ErrorCode::Internal, "not tried", ""};
  for (config.kvGib = 0.05; config.kvGib > 1e-6; config.kvGib *= 0.7) {
    auto engine = tools::LocalEngine::start(config, tools::loadModel, logger);
    if (!engine) {
      break;
    }
    smallest = std::move(engine);
    if ((*smallest)->client().stats()->kvBlocks.total <= 6) {
      break;
    }
  }
  return smallest;
}

}  // namespace

class ServingPropertyTest : public QObject {
  Q_OBJECT

 private slots:
  void everyAnswerIsTheOneItGetsAlone_data() {
    QTest::addColumn<QString>("folder");
    QTest::addColumn<int>("requests");
    QTest::addColumn<int>("ranks");
    QTest::addColumn<int>("chunk");
    QTest::addColumn<bool>("cramped");
    const QString micro = QString::fromStdString(kMicro);
    QTest::newRow("micro, chunks of 256")
        << micro << kMicroRequests * 55 / 100 << 1 << 256 << false;
    QTest::newRow("micro, chunks of 37") << micro << kMicroRequests * 35 / 100 << 1 << 37 << false;
    QTest::newRow("micro, too few blocks") << micro << kMicroRequests / 20 << 1 << 64 << true;
    QTest::newRow("micro, two ranks") << micro << kMicroRequests / 20 << 2 << 100 << false;
    if (kDemoRequests > 0) {
      QTest::newRow("demo") << QString::fromStdString(kDemo) << kDemoRequests << 1 << 100 << false;
    }
  }
  void everyAnswerIsTheOneItGetsAlone() {
    QFETCH(QString, folder);
    QFETCH(int, requests);
    QFETCH(int, ranks);
    QFETCH(int, chunk);
    QFETCH(bool, cramped);
    Logger logger(0);
    api::EngineConfig config = configOf(folder.toStdString());
    config.ranks = ranks;
    config.maxSequences = 4;
    config.prefillChunkTokens = chunk;
    config.alwaysDraft = true;
    auto engine = cramped ? startCramped(config, logger)
                          : tools::LocalEngine::start(config, tools::loadModel, logger);
    QVERIFY2(engine.ok(), engine ? "" : engine.error().text().c_str());
    api::EngineClient& client = (*engine)->client();

    std::mt19937 random(static_cast<unsigned>(requests * 1000 + chunk));
    std::vector<Case> cases = makeCases(requests, client.info().vocabSize, random);
    const Result<void> alone = answerAlone(folder.toStdString(), ranks, cases);
    QVERIFY2(alone.ok(), alone ? "" : alone.error().text().c_str());

    // In waves, so that there are always some to wait and some to end.
    std::vector<std::shared_ptr<api::OutputQueue>> queues(cases.size());
    std::size_t submitted = 0;
    for (std::size_t i = 0; i < cases.size(); ++i) {
      for (; submitted < cases.size() && submitted < i + 12; ++submitted) {
        const auto queue = client.submit(cases[submitted].request);
        QVERIFY2(queue.ok(), queue ? "" : queue.error().text().c_str());
        queues[submitted] = *queue;
        if (cases[submitted].cancelled) {
          client.cancel(cases[submitted].request.id);
        }
      }
      const Answer answer = collect(*queues[i]);
      QVERIFY2(answer.error.empty(), answer.error.c_str());
      QVERIFY(answer.finish.has_value());
      if (answer.finish == api::FinishReason::Cancelled) {
        QVERIFY(cases[i].cancelled);
        continue;
      }
      QVERIFY2(answer.tokens == cases[i].alone, qPrintable(QStringLiteral("request %1").arg(i)));
    }

    // Nothing is left behind but what prefixes keep.
    QTRY_COMPARE(client.stats()->kvBlocks.live, 0);
    const std::shared_ptr<const api::EngineStats> stats = client.stats();
    QCOMPARE(stats->kvBlocks.free + stats->kvBlocks.prefix, stats->kvBlocks.total);
    QVERIFY(stats->prefixCache.hitTokens > 0 || requests < 50);
    QVERIFY(stats->drafts.proposedTokens() > 0);
    qInfo(
        "%d blocks, %llu preemptions, %llu of %llu prompt tokens found, %llu of %llu guesses right",
        static_cast<int>(stats->kvBlocks.total),
        static_cast<unsigned long long>(stats->preemptions),
        static_cast<unsigned long long>(stats->prefixCache.hitTokens),
        static_cast<unsigned long long>(stats->prefixCache.queriedTokens),
        static_cast<unsigned long long>(stats->drafts.acceptedTokens()),
        static_cast<unsigned long long>(stats->drafts.proposedTokens()));
  }
};

QTEST_APPLESS_MAIN(ServingPropertyTest)
#include "serving_property_test.moc"
