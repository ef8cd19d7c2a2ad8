// SPDX-License-Identifier: GPL-3.0-or-later
// What tandemctl status tells of an engine, to people and to scripts.
#include <QJsonArray>
#include <QTest>

#include "app/cli/command_json.h"
#include "app/cli/words.h"

using namespace tandem;

namespace {

/// An engine at work, with something in every group.
protocol::Status someStatus() {
  protocol::Status status;
  status.state = api::EngineState::Ready;
  api::EngineStats& stats = status.stats;
  stats.running = 2;
  stats.waiting = 3;
  stats.promptTokens = 1000;
  stats.cachedPromptTokens = 768;
  stats.generatedTokens = 90;
  stats.prefillTokensPerSecond = 232;
  stats.cachedTokensPerSecond = 768;
  stats.decodeTokensPerSecond = 61.5;
  stats.meanStepSeconds = 0.023;
  stats.communicationShare = 0.12;
  stats.workerLagSeconds = 0.002;
  stats.latency.firstToken.recent = api::RecentDurations{12, 0.081, 1.3};
  stats.latency.interToken.recent = api::RecentDurations{2410, 0.016, 0.024};
  stats.drafts = {{10, 10, 0}, {9, 6, 0}};
  stats.kvBlocks = {256, 64, 16, 16, 32};
  stats.prefixCache.queriedTokens = 1000;
  stats.prefixCache.hitTokens = 768;
  stats.preemptions = 1;
  stats.memoryGuard = {api::MemoryGuardState::Holding, "head has 2.1 GiB left"};
  return status;
}

}  // namespace

class CliWordsTest final : public QObject {
  Q_OBJECT

 private slots:
  void peopleReadEveryGroupThatIsKnown() {
    const QString text = QString::fromStdString(cli::statusText(7, someStatus()));
    for (const char* line :
         {"requests   2 running, 3 waiting, 0 finished, 0 cancelled, 0 failed",
          "tokens     1000 read, of them 768 from the cache, 90 written; now 232.0 tok/s read, "
          "768.0 from the cache, 61.5 written",
          "latency    last minute; first token 81 ms (p95 1.30 s, of 12); between tokens 16 ms "
          "(p95 24 ms, of 2410)",
          "cache      requests hold 4096 of 16384 tokens (25 %), 4096 more are kept for reuse; "
          "77 % of prompt tokens were in it; 1 preempted",
          "drafts     90 %, 60 % accepted by place, 2.50 tokens a step",
          "steps      23 ms each, 12 % of it between the ranks; rank 1 trails by 2 ms",
          "guard      holding: head has 2.1 GiB left"}) {
      QVERIFY2(text.split(QLatin1Char('\n')).contains(QLatin1String(line)), qPrintable(text));
    }
  }

  void whatIsNotKnownHasNoLine() {
    const QString text = QString::fromStdString(cli::statusText(7, {}));
    for (const char* word : {"latency", "cache  ", "drafts", "steps", "guard"}) {
      QVERIFY2(!text.contains(QLatin1String(word)), qPrintable(text));
    }
    protocol::Status status = someStatus();
    status.stats.workerLagSeconds = -0.004;
    QVERIFY(QString::fromStdString(cli::statusText(7, status))
                .contains(QStringLiteral("rank 0 trails by 4 ms")));
  }

  void scriptsGetNumbersAndNulls() {
    const QJsonValue stats = cli::statusJson(7, someStatus())[u"stats"];
    QCOMPARE(stats[u"cached_prompt_tokens"].toInteger(), 768);
    QCOMPARE(stats[u"cached_tokens_per_second"].toDouble(), 768.0);
    QCOMPARE(stats[u"mean_step_seconds"].toDouble(), 0.023);
    QCOMPARE(stats[u"communication_share"].toDouble(), 0.12);
    QCOMPARE(stats[u"worker_lag_seconds"].toDouble(), 0.002);
    QCOMPARE(stats[u"latency"][u"first_token"][u"count"].toInteger(), 12);
    QCOMPARE(stats[u"latency"][u"inter_token"][u"p95_seconds"].toDouble(), 0.024);
    QVERIFY(stats[u"latency"][u"queue"].isNull());
    QCOMPARE(stats[u"drafts"][u"mean_length"].toDouble(), 2.5);
    QCOMPARE(stats[u"drafts"][u"accepted"].toArray(), QJsonArray({9, 6, 0}));
    QCOMPARE(stats[u"kv"][u"live_tokens"].toInteger(), 4096);
    QCOMPARE(stats[u"kv"][u"free_tokens"].toInteger(), 8192);
    QCOMPARE(stats[u"kv"][u"prefix_hit_tokens"].toInteger(), 768);
    QCOMPARE(stats[u"memory_guard"][u"state"].toString(), QStringLiteral("holding"));

    const QJsonValue idle = cli::statusJson(7, {})[u"stats"];
    QVERIFY(idle[u"mean_step_seconds"].isNull());
    QVERIFY(idle[u"worker_lag_seconds"].isNull());
    QVERIFY(idle[u"drafts"][u"mean_length"].isNull());
  }
};

QTEST_GUILESS_MAIN(CliWordsTest)
#include "cli_words_test.moc"
