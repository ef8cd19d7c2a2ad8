// SPDX-License-Identifier: GPL-3.0-or-later
// /metrics keeps to the text format, to vLLM's names, and to the numbers of the snapshot.
#include "engine/server/metrics_text.h"

#include <QTest>

#include "engine/runtime/stats_collector.h"
#include "engine/server/api_routes.h"
#include "tests/support/byte_tokenizer.h"
#include "tests/support/prometheus_text.h"

using namespace tandem;
using namespace tandem::server;
using namespace tandem::testing;
using namespace std::chrono_literals;

namespace {

/// A snapshot as an engine's collector makes it, with something in every field.
api::EngineStats someStats() {
  const MonotonicTime start{1000s};
  runtime::StatsCollector collector(start);
  collector.recordAdmission(768, 1000, 250ms);
  collector.recordFirstToken(80ms);  // exactly a bound
  collector.recordFirstToken(1300ms);
  collector.recordTokens(16ms);
  collector.recordTokens(17ms);
  collector.recordTokens(2h);
  runtime::StepRecord step;
  step.promptTokensFresh = 232;
  step.decodeRows = 3;
  step.generatedTokens = 9;
  step.drafts = {{3, 3, 2}, {3, 2, 1}};
  step.duration = 500ms;
  step.communication = 125ms;
  step.workerLag = 2ms;
  collector.recordStep(step);
  for (const api::FinishReason reason : {api::FinishReason::Stop,
                                         api::FinishReason::Stop,
                                         api::FinishReason::Length,
                                         api::FinishReason::Cancelled,
                                         api::FinishReason::Failed}) {
    collector.recordFinish(reason, 3s);
  }
  collector.recordPreemption();
  runtime::LoadRecord load;
  load.running = 2;
  load.waiting = 5;
  load.kvBlocks = {256, 100, 25, 30, 45};
  load.prefixSnapshots = 4;
  load.diskBytes = 1U << 30;
  load.diskHitTokens = 512;
  collector.recordLoad(load);
  api::EngineStats stats = collector.takeSnapshot(start + 1s);
  stats.state = api::EngineState::Ready;
  stats.memoryGuard.state = api::MemoryGuardState::Holding;
  stats.ranks = {api::RankMemory{0, 11, 12, 13, 14, 15}, api::RankMemory{1, 21, 22, 23, 24, 25}};
  return stats;
}

/// Families of the text, or none and a warning.
PrometheusText parsed(const std::string& text) {
  Result<PrometheusText> families = parsePrometheus(text);
  if (!families) {
    qWarning("%s", families.error().text().c_str());
    return {};
  }
  return *families;
}

/// The value of the one sample with these labels besides those that all have; -1 without one.
double valueOf(const PrometheusText& text,
               const std::string& sample,
               PrometheusLabels labels = {},
               const std::string& family = {}) {
  labels["model_name"] = "DeepSeek-V4-Flash";
  labels["engine"] = "0";
  const auto found = text.find(family.empty() ? sample : family);
  if (found == text.end()) {
    qWarning("no %s", sample.c_str());
    return -1;
  }
  for (const PrometheusSample& candidate : found->second.samples) {
    if (candidate.name == sample && candidate.labels == labels) {
      return candidate.value;
    }
  }
  qWarning("%s has no sample with these labels", sample.c_str());
  return -1;
}

/// Knows its model, or not yet; nothing else works.
class EngineWithStats final : public api::EngineClient {
 public:
  std::string model = "DeepSeek-V4-Flash";
  api::EngineState now = api::EngineState::Ready;

  Result<std::shared_ptr<api::OutputQueue>> submit(api::TokenRequest) override {
    return Error{ErrorCode::Unavailable, "this engine has no model", ""};
  }
  void cancel(const std::string&) override {}
  [[nodiscard]] api::EngineState state() const override { return now; }
  [[nodiscard]] api::EngineInfo info() const override {
    api::EngineInfo info;
    info.modelName = model;
    return info;
  }
  [[nodiscard]] std::shared_ptr<const api::EngineStats> stats() const override {
    return std::make_shared<api::EngineStats>(someStats());
  }
};

}  // namespace

class MetricsTextTest final : public QObject {
  Q_OBJECT

  const PrometheusText all_ = parsed(metricsText(someStats(), "DeepSeek-V4-Flash"));

 private slots:
  void everyVllmNameHasItsKindAndValue_data() {
    QTest::addColumn<QString>("name");
    QTest::addColumn<QString>("type");
    QTest::addColumn<double>("value");
    const auto row = [](const char* name, const char* type, double value) {
      QTest::newRow(name) << QString::fromLatin1(name) << QString::fromLatin1(type) << value;
    };
    row("vllm:num_requests_running", "gauge", 2);
    row("vllm:num_requests_waiting", "gauge", 5);
    row("vllm:kv_cache_usage_perc", "gauge", 0.25);
    row("vllm:prompt_tokens_total", "counter", 1000);
    row("vllm:prompt_tokens_cached_total", "counter", 768);
    row("vllm:generation_tokens_total", "counter", 9);
    row("vllm:num_preemptions_total", "counter", 1);
    row("vllm:prefix_cache_queries_total", "counter", 1000);
    row("vllm:prefix_cache_hits_total", "counter", 768);
    row("vllm:spec_decode_num_drafts_total", "counter", 3);
    row("vllm:spec_decode_num_draft_tokens_total", "counter", 8);
    row("vllm:spec_decode_num_accepted_tokens_total", "counter", 6);
    row("tandem_kv_block_tokens", "gauge", 256);
    row("tandem_prefix_cache_snapshots", "gauge", 4);
    row("tandem_prefix_cache_disk_bytes", "gauge", 1073741824);
    row("tandem_prefix_cache_disk_hits_total", "counter", 512);
    row("tandem_steps_total", "counter", 1);
    row("tandem_step_seconds_total", "counter", 0.5);
    row("tandem_communication_seconds_total", "counter", 0.125);
    row("tandem_decode_rows_total", "counter", 3);
    row("tandem_worker_lag_seconds", "gauge", 0.002);
    row("tandem_uptime_seconds", "gauge", 1);
  }
  void everyVllmNameHasItsKindAndValue() {
    QFETCH(QString, name);
    QFETCH(QString, type);
    QFETCH(double, value);
    const auto family = all_.find(name.toStdString());
    QVERIFY(family != all_.end());
    QCOMPARE(QString::fromStdString(family->second.type), type);
    QCOMPARE(family->second.samples.size(), 1U);
    QCOMPARE(valueOf(all_, name.toStdString()), value);
  }

  void labelledMetricsHaveTheirLabels() {
    const auto is = [this](const char* name, const char* label, const char* value, double number) {
      return valueOf(all_, name, {{label, value}}) == number;
    };
    QVERIFY(is("vllm:request_success_total", "finished_reason", "stop", 2));
    QVERIFY(is("vllm:request_success_total", "finished_reason", "length", 1));
    QVERIFY(is("vllm:request_success_total", "finished_reason", "abort", 1));
    QVERIFY(is("vllm:request_success_total", "finished_reason", "error", 1));
    QVERIFY(is("vllm:prompt_tokens_by_source_total", "source", "local_compute", 232));
    QVERIFY(is("vllm:prompt_tokens_by_source_total", "source", "local_cache_hit", 768));
    QVERIFY(is("vllm:spec_decode_num_accepted_tokens_per_pos_total", "position", "0", 3));
    QVERIFY(is("vllm:spec_decode_num_accepted_tokens_per_pos_total", "position", "2", 1));
    QVERIFY(is("tandem_spec_decode_num_draft_tokens_per_pos_total", "position", "2", 2));
    QVERIFY(is("tandem_kv_tokens", "state", "live", 6400));
    QVERIFY(is("tandem_kv_tokens", "state", "prefix", 7680));
    QVERIFY(is("tandem_kv_tokens", "state", "free", 11520));
    QVERIFY(is("tandem_memory_guard_state", "state", "holding", 1));
    QVERIFY(is("tandem_memory_guard_state", "state", "normal", 0));
    QVERIFY(is("tandem_engine_state", "state", "ready", 1));
    QVERIFY(is("tandem_engine_state", "state", "failed", 0));
    QCOMPARE(valueOf(all_, "tandem_rank_memory_bytes", {{"rank", "1"}, {"kind", "weights"}}), 21.0);
    QCOMPARE(valueOf(all_, "tandem_rank_memory_bytes", {{"rank", "0"}, {"kind", "kv"}}), 12.0);
    QCOMPARE(valueOf(all_, "tandem_host_memory_bytes", {{"rank", "0"}, {"kind", "available"}}),
             15.0);
  }

  void histogramsAddUpFromBoundToBound_data() {
    QTest::addColumn<QString>("name");
    QTest::addColumn<QString>("bound");
    QTest::addColumn<double>("upTo");
    QTest::addColumn<double>("count");
    QTest::addColumn<double>("sum");
    QTest::newRow("below") << "vllm:time_to_first_token_seconds"
                           << "0.06" << 0.0 << 2.0 << 1.38;
    QTest::newRow("at") << "vllm:time_to_first_token_seconds"
                        << "0.08" << 1.0 << 2.0 << 1.38;
    QTest::newRow("above") << "vllm:time_to_first_token_seconds"
                           << "2.5" << 2.0 << 2.0 << 1.38;
    QTest::newRow("a whole bound") << "vllm:inter_token_latency_seconds"
                                   << "1.0" << 2.0 << 3.0 << 7200.033;
    QTest::newRow("queue") << "vllm:request_queue_time_seconds"
                           << "0.3" << 1.0 << 1.0 << 0.25;
    QTest::newRow("end to end") << "vllm:e2e_request_latency_seconds"
                                << "7680.0" << 5.0 << 5.0 << 15.0;
  }
  void histogramsAddUpFromBoundToBound() {
    QFETCH(QString, name);
    QFETCH(QString, bound);
    QFETCH(double, upTo);
    QFETCH(double, count);
    QFETCH(double, sum);
    const std::string family = name.toStdString();
    QCOMPARE(QString::fromStdString(all_.at(family).type), QStringLiteral("histogram"));
    QCOMPARE(valueOf(all_, family + "_bucket", {{"le", bound.toStdString()}}, family), upTo);
    QCOMPARE(valueOf(all_, family + "_bucket", {{"le", "+Inf"}}, family), count);
    QCOMPARE(valueOf(all_, family + "_count", {}, family), count);
    QCOMPARE(valueOf(all_, family + "_sum", {}, family), sum);
  }

  void theBoundsAreVllms() {
    const auto boundsOf = [this](const char* name) {
      QStringList bounds;
      for (const PrometheusSample& sample : all_.at(name).samples) {
        if (const auto le = sample.labels.find("le"); le != sample.labels.end()) {
          bounds << QString::fromStdString(le->second);
        }
      }
      return bounds.join(QLatin1Char(' '));
    };
    QCOMPARE(boundsOf("vllm:time_to_first_token_seconds"),
             QStringLiteral("0.001 0.005 0.01 0.02 0.04 0.06 0.08 0.1 0.25 0.5 0.75 1.0 2.5 5.0 "
                            "7.5 10.0 20.0 40.0 80.0 160.0 640.0 2560.0 +Inf"));
    QCOMPARE(boundsOf("vllm:inter_token_latency_seconds"),
             QStringLiteral("0.01 0.025 0.05 0.075 0.1 0.15 0.2 0.3 0.4 0.5 0.75 1.0 2.5 5.0 7.5 "
                            "10.0 20.0 40.0 80.0 +Inf"));
    const QString requests = QStringLiteral(
        "0.3 0.5 0.8 1.0 1.5 2.0 2.5 5.0 10.0 15.0 20.0 30.0 40.0 50.0 60.0 120.0 "
        "240.0 480.0 960.0 1920.0 7680.0 +Inf");
    QCOMPARE(boundsOf("vllm:request_queue_time_seconds"), requests);
    QCOMPARE(boundsOf("vllm:e2e_request_latency_seconds"), requests);
  }

  void whatIsNotKnownHasNoSample() {
    const PrometheusText text = parsed(metricsText({}, "m"));
    QVERIFY(!text.empty());
    for (const char* name : {"vllm:kv_cache_usage_perc",
                             "vllm:time_to_first_token_seconds",
                             "tandem_worker_lag_seconds",
                             "tandem_prefix_cache_disk_bytes"}) {
      QVERIFY2(text.find(name) == text.end(), name);
    }
  }

  void aModelsNameMayHoldAnything() {
    const std::string name = "a \"model\"\\of\n{two} lines, le=\"1\"";
    const PrometheusText text = parsed(metricsText(someStats(), name));
    QCOMPARE(text.at("tandem_steps_total").samples.at(0).labels.at("model_name"), name);
  }

  void aScrapeWaitsForTheModelToBeKnownAndOutlivesItsEngine() {
    const tokenizer::Tokenizer tokenizer = makeByteTokenizer();
    Logger logger(0);
    EngineWithStats engine;
    const RouteContext context{engine, tokenizer, logger};
    const Handler scrape = metricsRoutes(context).at(0).handler;
    const auto response = [&scrape] { return std::get<HttpResponse>(scrape({})); };
    engine.model.clear();
    engine.now = api::EngineState::Starting;
    QCOMPARE(response().status, 503);
    engine.model = "DeepSeek-V4-Flash";
    QCOMPARE(response().status, 200);
    engine.now = api::EngineState::Failed;
    QCOMPARE(response().status, 200);
    QCOMPARE(response().contentType, std::string("text/plain; version=0.0.4; charset=utf-8"));
    QCOMPARE(valueOf(parsed(response().body), "tandem_steps_total"), 1.0);
  }

  void theReaderOfThisTestRefusesWhatScrapersRefuse_data() {
    QTest::addColumn<QByteArray>("text");
    const auto row = [](const char* name, const char* text) {
      QTest::newRow(name) << QByteArray(text);
    };
    row("no newline at the end", "# HELP a b\n# TYPE a gauge\na 1");
    row("no TYPE", "# HELP a b\na 1\n");
    row("a sample of another", "# HELP a b\n# TYPE a gauge\nb 1\n");
    row("twice", "# HELP a b\n# TYPE a gauge\na 1\na 2\n");
    row("a family twice", "# HELP a b\n# TYPE a gauge\na 1\n# HELP a b\n");
    row("no number", "# HELP a b\n# TYPE a gauge\na nan\n");
    row("a counter without _total", "# HELP a b\n# TYPE a counter\na 1\n");
    row("a bad escape", "# HELP a b\n# TYPE a gauge\na{l=\"\\t\"} 1\n");
    row("an open quote", "# HELP a b\n# TYPE a gauge\na{l=\"x} 1\n");
    row("no +Inf", "# HELP a b\n# TYPE a histogram\na_bucket{le=\"1\"} 1\na_sum 1\na_count 1\n");
    row("a count apart",
        "# HELP a b\n# TYPE a histogram\na_bucket{le=\"+Inf\"} 1\na_sum 1\na_count 2\n");
    row("a bucket that falls",
        "# HELP a b\n# TYPE a histogram\na_bucket{le=\"1\"} 2\na_bucket{le=\"+Inf\"} 1\n"
        "a_sum 1\na_count 1\n");
  }
  void theReaderOfThisTestRefusesWhatScrapersRefuse() {
    QFETCH(QByteArray, text);
    QVERIFY(!parsePrometheus(text.toStdString()).ok());
  }
};

QTEST_GUILESS_MAIN(MetricsTextTest)
#include "metrics_text_test.moc"
