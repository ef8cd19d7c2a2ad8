// SPDX-License-Identifier: GPL-3.0-or-later
// Markdown blocks, log rows, quantities and the sentences of the view-models.
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

}  // namespace tandem::test

QTEST_GUILESS_MAIN(tandem::test::UiTest)
#include "ui_test.moc"
