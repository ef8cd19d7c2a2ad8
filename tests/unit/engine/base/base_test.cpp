// SPDX-License-Identifier: GPL-3.0-or-later
// The claims of engine/base and of the small types of engine/api.
#include <poll.h>

#include <QFile>
#include <QTemporaryDir>
#include <QTest>

#include "engine/api/engine_state.h"
#include "engine/api/output_queue.h"
#include "engine/base/byte_size.h"
#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/base/result.h"
#include "engine/base/whole_file.h"
#include "engine/base/wire.h"

using namespace tandem;

namespace {

bool isReadable(int fd) {
  pollfd poll{fd, POLLIN, 0};
  return ::poll(&poll, 1, 0) == 1;
}

}  // namespace

class BaseTest : public QObject {
  Q_OBJECT

 private slots:
  void resultHoldsEitherAValueOrAnError() {
    const Result<int> good = 7;
    QVERIFY(good.ok());
    QCOMPARE(*good, 7);
    const Result<int> bad = Error{ErrorCode::NotFound, "no file x", "Look in y."};
    QVERIFY(!bad.ok());
    QCOMPARE(bad.error().code, ErrorCode::NotFound);
    QVERIFY_THROWS_EXCEPTION(std::bad_variant_access, (void)bad.value());
  }

  void errorTextEndsTheMessageOnceBeforeTheRemedy() {
    QCOMPARE((Error{ErrorCode::Timeout, "it took 3 s", "Wait."}).text(), "it took 3 s. Wait.");
    QCOMPARE((Error{ErrorCode::Timeout, "It took 3 s.", "Wait."}).text(), "It took 3 s. Wait.");
    QCOMPARE((Error{ErrorCode::Timeout, "it took 3 s", ""}).within("load").text(),
             "load: it took 3 s");
  }

  void aFileIsReadWholeAndAFolderIsAnError() {
    const QTemporaryDir folder;
    const QString path = folder.filePath(QStringLiteral("file"));
    const QByteArray content(200'000, 'x');  // more than one read
    QFile file(path);
    QVERIFY(file.open(QIODevice::WriteOnly) && file.write(content) == content.size());
    file.close();
    const Result<std::string> text = readWholeFile(path.toStdString());
    QVERIFY(text.ok());
    QCOMPARE(QByteArray::fromStdString(*text), content);
    const Result<std::string> missing = readWholeFile((path + u'2').toStdString());
    QVERIFY(!missing.ok());
    QCOMPARE(missing.error().code, ErrorCode::NotFound);
    const Result<std::string> aFolder = readWholeFile(folder.path().toStdString());
    QVERIFY(!aFolder.ok());
    QVERIFY2(aFolder.error().message.find("Is a directory") != std::string::npos,
             aFolder.error().message.c_str());
  }

  void bytesAreShownInBinaryUnits() {
    QCOMPARE(formatBytes(612), "612 B");
    QCOMPARE(formatBytes(4096), "4.0 KiB");
    QCOMPARE(formatBytes(80'392'000'000), "74.9 GiB");
  }

  void wallTimeIsUtcWithMilliseconds() {
    QCOMPARE(formatWallTime(1'700'000'000'123), "2023-11-14T22:13:20.123Z");
  }

  void loggerNumbersRecordsAndReplaysFromASequence() {
    Logger logger(1);
    logger.info("weights", "{} of {}", 3, 4);
    logger.debug("weights", "below the minimum level");
    logger.warning("weights", "slow disk");
    QCOMPARE(logger.lastSeq(), 2U);
    const std::vector<LogRecord> tail = logger.recordsAfter(1);
    QCOMPARE(tail.size(), 1U);
    QCOMPARE(tail[0].text, "slow disk");
    QCOMPARE(tail[0].rank, 1);
  }

  void loggerForgetsTheOldestBeyondItsLimit() {
    Logger logger(0);
    for (std::size_t i = 0; i < Logger::kKept + 5; ++i) {
      logger.info("test", "line");
    }
    QCOMPARE(logger.recordsAfter(0).front().seq, 6U);
  }

  void wireValuesReadBackInLittleEndianOrder() {
    ByteWriter writer;
    writer.number(std::uint32_t{0x01020304});
    writer.number(std::int64_t{-5});
    writer.text("two words");
    writer.flag(true);
    QCOMPARE(writer.bytes()[0], std::byte(4));
    ByteReader reader(writer.bytes());
    QCOMPARE(reader.number<std::uint32_t>(), 0x01020304U);
    QCOMPARE(reader.number<std::int64_t>(), -5);
    QCOMPARE(reader.text(), std::string("two words"));
    QVERIFY(reader.flag());
    QVERIFY(reader.finish("test").ok());
  }

  void aWireMessageCutAnywhereIsCorruptAndOneTooLongToo() {
    ByteWriter writer;
    writer.number(std::uint16_t{7});
    writer.text("abc");
    for (std::size_t cut = 0; cut < writer.bytes().size(); ++cut) {
      ByteReader reader(writer.bytes().first(cut));
      (void)reader.number<std::uint16_t>();
      (void)reader.text();
      QCOMPARE(reader.finish("test").error().code, ErrorCode::DataCorrupt);
    }
    ByteReader reader(writer.bytes());
    (void)reader.number<std::uint16_t>();
    QCOMPARE(reader.finish("test").error().code, ErrorCode::DataCorrupt);
  }

  void everyStateAndPhaseNameReadsBack() {
    for (const api::Phase phase : api::kPhases) {
      QCOMPARE(api::phaseFromName(api::phaseName(phase)), phase);
    }
    QVERIFY(!api::phaseFromName("warmup").has_value());
    QCOMPARE(api::engineStateFromName("draining"), api::EngineState::Draining);
  }

  void onlyTheListedMovesBetweenStatesAreAllowed() {
    using api::EngineState;
    const std::vector<std::pair<EngineState, EngineState>> allowed{
        {EngineState::Starting, EngineState::Ready},
        {EngineState::Starting, EngineState::Stopped},
        {EngineState::Starting, EngineState::Failed},
        {EngineState::Ready, EngineState::Draining},
        {EngineState::Ready, EngineState::Failed},
        {EngineState::Draining, EngineState::Stopped},
        {EngineState::Draining, EngineState::Failed}};
    for (int from = 0; from <= static_cast<int>(EngineState::Failed); ++from) {
      for (int to = 0; to <= static_cast<int>(EngineState::Failed); ++to) {
        const std::pair move{static_cast<EngineState>(from), static_cast<EngineState>(to)};
        const bool listed = std::find(allowed.begin(), allowed.end(), move) != allowed.end();
        QCOMPARE(api::mayMove(move.first, move.second), listed);
      }
    }
  }

  void outputOfASlowConsumerIsMergedIntoOnePiece() {
    auto queue = api::OutputQueue::create();
    QVERIFY(queue.ok());
    QVERIFY(!isReadable((*queue)->readyFd()));
    api::RequestOutput first;
    first.tokens = {1, 2};
    first.logprobs = {{-1, {}}, {-2, {}}};
    (*queue)->push(first);
    api::RequestOutput last;
    last.tokens = {3};
    last.logprobs = {{-3, {}}};
    last.finish = api::FinishReason::Stop;
    (*queue)->push(last);
    QVERIFY(isReadable((*queue)->readyFd()));
    const auto piece = (*queue)->pop();
    QVERIFY(piece.has_value());
    QCOMPARE(piece->tokens, (std::vector<TokenId>{1, 2, 3}));
    QCOMPARE(piece->logprobs.size(), 3U);
    QCOMPARE(piece->logprobs[2].logprob, -3.0);
    QCOMPARE(piece->finish, api::FinishReason::Stop);
    QVERIFY(!isReadable((*queue)->readyFd()));
    QVERIFY(!(*queue)->pop().has_value());
  }
};

QTEST_APPLESS_MAIN(BaseTest)
#include "base_test.moc"
