// SPDX-License-Identifier: GPL-3.0-or-later
// Markdown blocks, log rows, quantities and the sentences of the view-models.
#include <QSet>
#include <QTest>

#include "ui/pages/chat/markdown.h"
#include "ui/pages/engine/engine_view_model.h"
#include "ui/pages/monitor/monitor_view_model.h"
#include "ui/shell/panel_view_model.h"
#include "ui/widgets/log_model.h"
#include "ui/widgets/quantity.h"

namespace tandem::test {

namespace {

using ui::MarkdownBlockKind;

QString plain(const ui::MarkdownText& text) {
  QString all;
  for (const ui::MarkdownSpan& span : text) {
    all += span.text;
  }
  return all;
}

ui::StartPhase phase(api::Phase which, int rank, ui::PhaseState state, double begin, double end) {
  ui::StartPhase made;
  made.phase = which;
  made.rank = rank;
  made.state = state;
  made.begin = begin;
  made.end = end;
  return made;
}

}  // namespace

class UiTest : public QObject {
  Q_OBJECT

 private slots:
  void listsKeepTheirMarksAndDepth();
  void tablesKeepRowsAndAlignment();
  void codeKeepsItsTextAndLanguage();
  void anOpenFenceIsCodeAlready();
  void htmlAndPicturesAreNeverMoreThanText();
  void spansCarryTheirLooks();
  void logKeepsTheNewestRecordsUnderAFilter();
  void quantitiesReadAsPeopleWriteThem_data();
  void quantitiesReadAsPeopleWriteThem();
  void aSlowPhaseIsNamedWithItsNode();
  void aFinishedStartIsComparedWithUsual();
  void lanesStandInTheSameOrderInEveryStart();
  void unknownFiguresAreADash();
  void aClockSetBackStartsTheChartsAnew();
  void aSnapshotSentTwiceIsOnePoint();
  void tilesTellTheLastMinutesDurations();
  void tilesTellComputedFromCachedPrompts();
  void theKvCacheIsDividedAsItsBlocksAre();
  void draftsAreTheLastMinutesWhileThereAreSome();
  void theMemoryGuardSaysWhatItDoes();
  void theHeaderTellsHowFullTheKvCacheIs();
};

void UiTest::listsKeepTheirMarksAndDepth() {
  const auto blocks = ui::parseMarkdown(QStringLiteral(
      "3. three\n4. four\n   - inner\n\n     more of inner\n- [x] done\n- [ ] open"));
  QCOMPARE(blocks.size(), std::size_t{6});
  QCOMPARE(blocks[0].marker, QStringLiteral("3."));
  QCOMPARE(blocks[1].marker, QStringLiteral("4."));
  QCOMPARE(blocks[1].listDepth, 1);
  QCOMPARE(blocks[2].marker, QStringLiteral("•"));
  QCOMPARE(blocks[2].listDepth, 2);
  QVERIFY(blocks[3].marker.isEmpty());
  QCOMPARE(blocks[3].listDepth, 2);
  QCOMPARE(blocks[4].marker, QStringLiteral("☑"));
  QCOMPARE(blocks[5].marker, QStringLiteral("☐"));
}

void UiTest::tablesKeepRowsAndAlignment() {
  const auto blocks =
      ui::parseMarkdown(QStringLiteral("| a | b |\n|:-:|--:|\n| 1 | **2** |\n| 3 |"));
  QCOMPARE(blocks.size(), std::size_t{1});
  QCOMPARE(blocks[0].kind, MarkdownBlockKind::Table);
  QCOMPARE(blocks[0].columns, 2);
  QCOMPARE(blocks[0].cells.size(), std::size_t{6});
  QCOMPARE(blocks[0].alignments[0], Qt::AlignHCenter);
  QCOMPARE(blocks[0].alignments[1], Qt::AlignRight);
  QCOMPARE(plain(blocks[0].cells[3]), QStringLiteral("2"));
  QVERIFY(blocks[0].cells[3][0].strong);
  QVERIFY(blocks[0].cells[5].empty());
}

void UiTest::codeKeepsItsTextAndLanguage() {
  const auto blocks = ui::parseMarkdown(QStringLiteral("```cpp\nint *a;\n\n  _b_ < 3;\n```"));
  QCOMPARE(blocks.size(), std::size_t{1});
  QCOMPARE(blocks[0].language, QStringLiteral("cpp"));
  QCOMPARE(blocks[0].code, QStringLiteral("int *a;\n\n  _b_ < 3;"));
}

void UiTest::anOpenFenceIsCodeAlready() {
  const auto blocks = ui::parseMarkdown(QStringLiteral("text\n\n```py\nprint("));
  QCOMPARE(blocks.size(), std::size_t{2});
  QCOMPARE(blocks[1].kind, MarkdownBlockKind::Code);
  QCOMPARE(blocks[1].code, QStringLiteral("print("));
}

void UiTest::htmlAndPicturesAreNeverMoreThanText() {
  const auto html = ui::parseMarkdown(QStringLiteral("<script>alert(1)</script>"));
  QCOMPARE(plain(html[0].text), QStringLiteral("<script>alert(1)</script>"));
  const auto picture = ui::parseMarkdown(QStringLiteral("![cat](https://example.org/cat.png)"));
  QCOMPARE(plain(picture[0].text), QStringLiteral("cat"));
  QCOMPARE(picture[0].text[0].link, QStringLiteral("https://example.org/cat.png"));
}

void UiTest::spansCarryTheirLooks() {
  const auto blocks = ui::parseMarkdown(QStringLiteral("a **b *c*** `d` ~~e~~ [f](https://g.h)"));
  const ui::MarkdownText& text = blocks[0].text;
  QCOMPARE(plain(text), QStringLiteral("a b c d e f"));
  const ui::MarkdownSpan both{QStringLiteral("c"), true, true, false, false, {}};
  QVERIFY(std::find(text.begin(), text.end(), both) != text.end());
  const ui::MarkdownSpan link{QStringLiteral("f"),
                              false,
                              false,
                              false,
                              false,
                              QStringLiteral("https://g.h")};
  QCOMPARE(text.back(), link);
}

void UiTest::logKeepsTheNewestRecordsUnderAFilter() {
  ui::LogModel log;
  ui::LogFilter filter;
  filter.rank = 1;
  log.setFilter(filter);
  std::vector<LogRecord> batch;
  constexpr int kRecords = 2 * static_cast<int>(ui::LogModel::kCapacity);
  for (int i = 0; i < kRecords; ++i) {
    batch.push_back({static_cast<std::uint64_t>(i),
                     i,
                     i % 2,
                     LogLevel::Info,
                     "m",
                     "",
                     "line " + std::to_string(i)});
    if (batch.size() == 777 || i == kRecords - 1) {
      log.append(batch);
      batch.clear();
    }
  }
  QCOMPARE(log.recordCount(), ui::LogModel::kCapacity);
  QCOMPARE(log.rowCount(), static_cast<int>(ui::LogModel::kCapacity) / 2);
  QCOMPARE(log.index(0).data(ui::LogModel::TextRole).toString(),
           QStringLiteral("line %1").arg(kRecords - static_cast<int>(ui::LogModel::kCapacity) + 1));
  QCOMPARE(log.index(log.rowCount() - 1).data(ui::LogModel::TextRole).toString(),
           QStringLiteral("line %1").arg(kRecords - 1));
  log.setFilter({});
  QCOMPARE(log.rowCount(), static_cast<int>(ui::LogModel::kCapacity));
}

void UiTest::quantitiesReadAsPeopleWriteThem_data() {
  QTest::addColumn<QString>("got");
  QTest::addColumn<QString>("expected");
  QTest::newRow("milliseconds") << ui::durationText(0.0814) << "81 ms";
  QTest::newRow("just under a second") << ui::durationText(0.9996) << "1.0 s";
  QTest::newRow("seconds") << ui::durationText(4.23) << "4.2 s";
  QTest::newRow("just under a minute") << ui::durationText(59.97) << "1 min 00 s";
  QTest::newRow("minutes") << ui::durationText(128) << "2 min 08 s";
  QTest::newRow("idle rate") << ui::rateText(0) << "0";
  QTest::newRow("rate") << ui::rateText(62.14) << "62.1";
  QTest::newRow("fast rate") << ui::rateText(1240.4) << "1,240";
  QTest::newRow("count") << ui::countText(2493464) << "2,493,464";
  QTest::newRow("slow disk") << ui::byteRateText(7.94e6) << "7.9 MB/s";
  QTest::newRow("fast disk") << ui::byteRateText(0.71e9) << "0.71 GB/s";
}

void UiTest::quantitiesReadAsPeopleWriteThem() {
  QFETCH(QString, got);
  QFETCH(QString, expected);
  QCOMPARE(got, expected);
}

void UiTest::aSlowPhaseIsNamedWithItsNode() {
  ui::PanelViewModel panel;
  ui::EngineViewModel engine(panel);
  ui::EngineSnapshot starting;
  starting.link = app::EngineLink::Attached;
  starting.state = api::EngineState::Starting;
  panel.setEngine(starting);
  ui::StartRecord start;
  start.running = true;
  start.elapsed = 128;
  start.usualSeconds = 270;
  ui::StartPhase slow = phase(api::Phase::Weights, 1, ui::PhaseState::Running, 7, 128);
  slow.usualSeconds = 100;
  slow.lateSeconds = 110;
  start.phases = {slow};
  engine.setStart(start);
  QCOMPARE(engine.sentence(),
           QStringLiteral("2 min 08 s of about 4 min 30 s. Worker is 21.0 s behind its usual pace: "
                          "Load weights."));
  QCOMPARE(engine.picture().lanes[0].bars[0].state, ui::BarState::Late);
}

void UiTest::aFinishedStartIsComparedWithUsual() {
  ui::PanelViewModel panel;
  ui::EngineViewModel engine(panel);
  ui::EngineSnapshot ready;
  ready.link = app::EngineLink::Attached;
  ready.state = api::EngineState::Ready;
  panel.setEngine(ready);
  QCOMPARE(engine.sentence(), QStringLiteral("It was running before this window opened."));
  ui::StartRecord start;
  start.elapsed = 2;
  start.phases = {phase(api::Phase::Api, 0, ui::PhaseState::Done, 1, 2)};
  engine.setStart(start);
  QCOMPARE(engine.sentence(), QStringLiteral("Ready in 2.0 s."));
  start.usualSeconds = 3.5;
  engine.setStart(start);
  QCOMPARE(engine.sentence(), QStringLiteral("Ready in 2.0 s (1.5 s faster than usual)."));
}

void UiTest::lanesStandInTheSameOrderInEveryStart() {
  ui::PanelViewModel panel;
  ui::EngineViewModel engine(panel);
  ui::StartRecord start;
  start.elapsed = 1;
  start.phases = {phase(api::Phase::Connect, 1, ui::PhaseState::Done, 0, 1),
                  phase(api::Phase::Connect, 0, ui::PhaseState::Done, 0, 1),
                  phase(api::Phase::Spawn, 0, ui::PhaseState::Done, 0, 0.1)};
  engine.setStart(start);
  QStringList names;
  for (const ui::TimelineLane& lane : engine.picture().lanes) {
    names << lane.name;
  }
  QCOMPARE(
      names,
      QStringList({QStringLiteral("Cluster"), QStringLiteral("Head"), QStringLiteral("Worker")}));
  QCOMPARE(engine.picture().barriers, std::vector<double>{1.0});
}

void UiTest::unknownFiguresAreADash() {
  ui::PanelViewModel panel;
  QCOMPARE(panel.decodeText(), ui::unknownQuantity());
  QCOMPARE(panel.memoryText(1), ui::unknownQuantity());
  ui::MonitorViewModel monitor;
  for (const ui::Tile& tile : monitor.tiles()) {
    QCOMPARE(tile.value, ui::unknownQuantity());
  }
}

void UiTest::aClockSetBackStartsTheChartsAnew() {
  ui::MonitorViewModel monitor;
  api::EngineStats stats;
  for (const int wallMs : {1000, 2000, 3000, 2500, 3500}) {
    stats.wallMs = wallMs;
    monitor.addStats(stats);
  }
  QCOMPARE(monitor.series(ui::MonitorViewModel::Decode).size(), std::size_t{2});
  stats.wallMs = 3500 + 301 * 1000;
  monitor.addStats(stats);
  QCOMPARE(monitor.series(ui::MonitorViewModel::Decode).size(), std::size_t{1});
}

void UiTest::aSnapshotSentTwiceIsOnePoint() {
  ui::MonitorViewModel monitor;
  api::EngineStats stats;
  for (const int wallMs : {1000, 2000, 2000, 3000}) {
    stats.wallMs = wallMs;
    monitor.addStats(stats);
  }
  QCOMPARE(monitor.series(ui::MonitorViewModel::Decode).size(), std::size_t{3});
}

namespace {

/// The value and the note of one tile.
QString tileText(const ui::MonitorViewModel& monitor, const char* name) {
  for (const ui::Tile& tile : monitor.tiles()) {
    if (tile.name == QLatin1String(name)) {
      return tile.value + QStringLiteral(" | ") + tile.note;
    }
  }
  return {};
}

}  // namespace

void UiTest::tilesTellTheLastMinutesDurations() {
  ui::MonitorViewModel monitor;
  api::EngineStats stats;
  stats.wallMs = 1000;
  stats.lastTtftSeconds = 0.4;
  stats.latency.interToken.recent = api::RecentDurations{2410, 0.0161, 0.0236};
  stats.latency.queue.recent = api::RecentDurations{19, 1.3, 3};
  stats.communicationShare = 0.123;
  stats.workerLagSeconds = 0.0021;
  monitor.addStats(stats);
  QCOMPARE(tileText(monitor, "Between tokens"),
           QStringLiteral("16 ms | median of 2,410; p95 24 ms"));
  // Too few for a percentile.
  QCOMPARE(tileText(monitor, "Queue"), QStringLiteral("1.3 s | median of 19, last minute"));
  // An older engine tells its newest request only.
  QCOMPARE(tileText(monitor, "First token"), QStringLiteral("400 ms | newest request"));
  QCOMPARE(tileText(monitor, "Communication"), QStringLiteral("12 % | of steps, worker +2 ms"));
  stats.wallMs = 2000;
  stats.latency.firstToken.recent = api::RecentDurations{20, 0.08, 1.5};
  stats.latency.interToken.recent.reset();
  stats.workerLagSeconds = -0.0034;
  monitor.addStats(stats);
  QCOMPARE(tileText(monitor, "First token"), QStringLiteral("80 ms | median of 20; p95 1.5 s"));
  QCOMPARE(tileText(monitor, "Between tokens"),
           ui::unknownQuantity() + QStringLiteral(" | none in the last minute"));
  QCOMPARE(tileText(monitor, "Communication"), QStringLiteral("12 % | of steps, head +3 ms"));
}

void UiTest::tilesTellComputedFromCachedPrompts() {
  ui::MonitorViewModel monitor;
  api::EngineStats stats;
  stats.wallMs = 1000;
  stats.prefillTokensPerSecond = 412;
  stats.cachedTokensPerSecond = 1236;
  stats.running = 3;
  stats.waiting = 7;
  monitor.addStats(stats);
  QCOMPARE(tileText(monitor, "Prefill"), QStringLiteral("412 | tok/s + 1,236 from cache"));
  QCOMPARE(tileText(monitor, "Requests"), QStringLiteral("3 | running, 7 waiting"));
  using Series = ui::MonitorViewModel::Series;
  QCOMPARE(monitor.series(Series::CachedPrefill).back().value, 1236.0);
  QCOMPARE(monitor.series(Series::Running).back().value, 3.0);
  QCOMPARE(monitor.series(Series::Waiting).back().value, 7.0);
}

void UiTest::theKvCacheIsDividedAsItsBlocksAre() {
  ui::MonitorViewModel monitor;
  QVERIFY(monitor.kv().parts.empty());
  api::EngineStats stats;
  stats.kvBlocks = {256, 64, 4, 22, 38};
  stats.prefixCache = {48210, 31400, 5, 3U << 20, std::nullopt};
  stats.preemptions = 2;
  monitor.addStats(stats);
  const ui::KvPicture kv = monitor.kv();
  QCOMPARE(kv.parts.size(), std::size_t{3});
  QCOMPARE(kv.parts[0].value, 1024.0);
  QCOMPARE(kv.parts[1].value, 5632.0);
  QCOMPARE(kv.parts[1].text, QStringLiteral("5,632"));
  QVERIFY(kv.parts[1].fill == ui::PartFill::Hatched);
  QCOMPARE(kv.parts[2].value, 9728.0);
  QCOMPARE(kv.use, QStringLiteral("Requests hold 1,024 of 16,384 tokens, 6 %"));
  QCOMPARE(kv.hits,
           QStringLiteral("Of 48,210 prompt tokens 65 % were in the cache; 3.0 MiB on disk; "
                          "2 preempted"));
}

void UiTest::draftsAreTheLastMinutesWhileThereAreSome() {
  ui::MonitorViewModel monitor;
  api::EngineStats stats;
  const auto at = [&](int second, std::uint64_t drafts, std::uint64_t accepted) {
    stats.wallMs = second * 1000;
    stats.drafts = {{drafts, drafts, 0}, {accepted, accepted / 2, 0}};
    monitor.addStats(stats);
  };
  at(1, 0, 0);
  QCOMPARE(monitor.drafts().summary, QStringLiteral("Nothing was drafted yet"));
  QVERIFY(!monitor.drafts().rows.at(0).share.has_value());
  at(2, 1000, 100);
  at(30, 1100, 180);
  at(62, 1200, 280);  // the minute before began with 1000
  const ui::DraftPicture minute = monitor.drafts();
  QCOMPARE(minute.summary, QStringLiteral("200 drafts in the last minute"));
  QCOMPARE(minute.rows.at(0).share.value(), 0.9);
  QCOMPARE(minute.rows.at(1).share.value(), 0.45);
  QVERIFY(!minute.rows.at(2).share.has_value());
  QCOMPARE(tileText(monitor, "Tokens a step"), QStringLiteral("2.35 | 68 % of drafted tokens"));
  for (const int second : {80, 110, 150}) {
    at(second, 1200, 280);
  }
  QCOMPARE(monitor.drafts().summary, QStringLiteral("1,200 drafts since the start"));
  at(151, 10, 5);  // another engine
  QCOMPARE(monitor.drafts().summary, QStringLiteral("10 drafts since the start"));
  QCOMPARE(monitor.drafts().rows.at(0).share.value(), 0.5);
}

void UiTest::theMemoryGuardSaysWhatItDoes() {
  ui::MonitorViewModel monitor;
  QVERIFY(monitor.guardSentence().isEmpty());
  api::EngineStats stats;
  QStringList sentences;
  for (const api::MemoryGuardState state : api::kMemoryGuardStates) {
    stats.wallMs += 1000;
    stats.memoryGuard = {state, "Head has 2.1 GiB left."};
    monitor.addStats(stats);
    sentences << monitor.guardSentence();
  }
  QVERIFY(sentences[0].isEmpty());
  for (const QString& sentence : sentences.mid(1)) {
    QVERIFY2(sentence.endsWith(QStringLiteral(" Head has 2.1 GiB left.")), qPrintable(sentence));
  }
  QCOMPARE(QSet<QString>(sentences.begin(), sentences.end()).size(), qsizetype{4});
}

void UiTest::theHeaderTellsHowFullTheKvCacheIs() {
  ui::PanelViewModel panel;
  ui::EngineSnapshot engine;
  engine.link = app::EngineLink::Attached;
  engine.state = api::EngineState::Ready;
  engine.stats = api::EngineStats{};
  panel.setEngine(engine);
  QCOMPARE(panel.kvText(), ui::unknownQuantity());
  engine.stats->kvTokensUsed = 300;
  engine.stats->kvTokensCapacity = 1000;
  panel.setEngine(engine);
  QCOMPARE(panel.kvText(), QStringLiteral("30 %"));
  engine.stats->kvBlocks = {256, 4, 1, 2, 1};
  panel.setEngine(engine);
  QCOMPARE(panel.kvText(), QStringLiteral("25 %"));
}

}  // namespace tandem::test

QTEST_GUILESS_MAIN(tandem::test::UiTest)
#include "ui_test.moc"
