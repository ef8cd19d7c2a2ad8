// SPDX-License-Identifier: GPL-3.0-or-later
// The log on disk: whole lines, two files at most, and an engine that never waits for it.
#include "engine/control/log_file.h"

#include <sys/stat.h>

#include <string>
#include <vector>

#include <QFile>
#include <QTemporaryDir>
#include <QTest>

#include "engine/control/log_file_writer.h"
#include "engine/protocol/log_record_json.h"
#include "tests/support/file_limit.h"

using namespace tandem;
using namespace tandem::control;

namespace {

std::string contentOf(const std::string& path) {
  QFile file(QString::fromStdString(path));
  return file.open(QIODevice::ReadOnly) ? file.readAll().toStdString() : std::string();
}

unsigned modeOf(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 ? info.st_mode & 0777U : 0;
}

/// The records of a file; a line that is none makes the test fail.
std::vector<LogRecord> recordsOf(const std::string& path) {
  std::vector<LogRecord> records;
  for (const QByteArray& line : QByteArray::fromStdString(contentOf(path)).split('\n')) {
    if (!line.isEmpty()) {
      Result<LogRecord> record = protocol::parseLogLine(line.toStdString());
      if (!record) {
        qWarning("%s: %s", record.error().message.c_str(), line.constData());
        return {};
      }
      records.push_back(*std::move(record));
    }
  }
  return records;
}

/// Waits until the logger has a record with `text`; the writer's thread makes it.
class AwaitRecord final : public LogSink {
 public:
  struct Seen {
    Mutex mutex;
    Condition changed;
    std::vector<std::string> texts TANDEM_GUARDED_BY(mutex);
  };

  explicit AwaitRecord(Seen& seen)
      : seen_(seen) {}
  void write(const LogRecord& record) override {
    const MutexLock lock(seen_.mutex);
    seen_.texts.push_back(record.text);
    seen_.changed.notify_all();
  }
  static bool wait(Seen& seen, const std::string& text) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    MutexLock lock(seen.mutex);
    while (true) {
      for (const std::string& one : seen.texts) {
        if (one.find(text) != std::string::npos) {
          return true;
        }
      }
      if (seen.changed.wait_until(lock, deadline) == std::cv_status::timeout) {
        return false;
      }
    }
  }
  static std::size_t count(Seen& seen, const std::string& text) {
    const MutexLock lock(seen.mutex);
    std::size_t found = 0;
    for (const std::string& one : seen.texts) {
      found += one.find(text) != std::string::npos ? 1 : 0;
    }
    return found;
  }

 private:
  Seen& seen_;
};

}  // namespace

class LogFileTest final : public QObject {
  Q_OBJECT

  std::unique_ptr<QTemporaryDir> folder_;
  std::string path_;

 private slots:
  void init() {
    folder_ = std::make_unique<QTemporaryDir>();
    path_ = folder_->filePath(QStringLiteral("log/engine-0.jsonl")).toStdString();
  }

  void folderAndFileAreForTheirOwnerOnly() {
    LogFile file(path_);
    QVERIFY(file.append("one\n").ok());
    QVERIFY(file.append("two\n").ok());
    QCOMPARE(contentOf(path_), std::string("one\ntwo\n"));
    QCOMPARE(modeOf(path_), 0600U);
    QCOMPARE(modeOf(folder_->filePath(QStringLiteral("log")).toStdString()), 0700U);
  }

  void aNewEngineAddsToTheFileOfTheLastOne() {
    QVERIFY(LogFile(path_).append("one\n").ok());
    QVERIFY(LogFile(path_).append("two\n").ok());
    QCOMPARE(contentOf(path_), std::string("one\ntwo\n"));
  }

  void aLineThatAKilledEngineBeganIsEnded() {
    QVERIFY(LogFile(path_).append("half").ok());
    QVERIFY(LogFile(path_).append("two\n").ok());
    QCOMPARE(contentOf(path_), std::string("half\ntwo\n"));
  }

  void aFullFileIsSetAsideAndTheOneBeforeItIsGone() {
    LogFile file(path_, 8);
    for (const char* line : {"aaa\n", "bbb\n", "ccc\n", "ddd\n", "eee\n"}) {
      QVERIFY(file.append(line).ok());
    }
    QCOMPARE(contentOf(path_ + ".1"), std::string("ccc\nddd\n"));
    QCOMPARE(contentOf(path_), std::string("eee\n"));
    QCOMPARE(modeOf(path_), 0600U);
  }

  void aPathThatCannotBeIsRefusedAtTheStart() {
    Logger logger(0);
    const auto missing = LogFileWriter::create(LogFile("/nowhere/at/all/x.jsonl"), logger);
    QVERIFY(!missing.ok());
    QVERIFY(missing.error().code == ErrorCode::NotFound);
    QVERIFY(missing.error().message.find("/nowhere/at/all/x.jsonl") != std::string::npos);
    const std::string file = folder_->filePath(QStringLiteral("file")).toStdString();
    QVERIFY(LogFile(file).append("x\n").ok());
    QVERIFY(LogFileWriter::create(LogFile(file + "/x.jsonl"), logger).error().code ==
            ErrorCode::NotFound);
  }

  void everyRecordIsInTheFileOnceTheWriterEnds() {
    Logger logger(0);
    logger.info("start", "before the file");
    {
      const auto writer = LogFileWriter::create(LogFile(path_), logger);
      QVERIFY(writer.ok());
      for (int i = 0; i < 1000; ++i) {
        logger.info("test", "record {}\nof many", i);
      }
    }
    const std::vector<LogRecord> records = recordsOf(path_);
    QCOMPARE(records.size(), std::size_t{1001});
    for (std::size_t i = 0; i < records.size(); ++i) {
      QCOMPARE(records[i].seq, i + 1);
    }
    QCOMPARE(records.back().text, std::string("record 999\nof many"));
  }

  void aDiskThatIsFullPausesTheFileAndSaysSoOnce() {
    AwaitRecord::Seen seen;
    Logger logger(0);
    logger.addSink(std::make_unique<AwaitRecord>(seen));
    const std::string text(200, 'x');
    {
      const auto writer = LogFileWriter::create(LogFile(path_), logger);
      QVERIFY(writer.ok());
      {
        const test::FileLimit limit(1000);
        for (int i = 0; i < 20; ++i) {
          logger.info("test", "{}", text);
        }
        QVERIFY(AwaitRecord::wait(seen, "it is paused"));
        // More than are kept, so some are lost for good. (A batch of 256 that the writer holds
        // while the limit ends is not.)
        for (std::size_t i = 0; i < Logger::kKept + 800; ++i) {
          logger.info("test", "while it lasts");
        }
      }
      logger.info("test", "there is room again");
      QVERIFY(AwaitRecord::wait(seen, "goes on"));
    }
    QCOMPARE(AwaitRecord::count(seen, "it is paused"), std::size_t{1});
    QVERIFY(AwaitRecord::wait(seen, path_));
    QVERIFY(AwaitRecord::wait(seen, "File too large"));  // what EFBIG is called

    // Every record is there, or counted by the one in its place.
    const std::vector<LogRecord> records = recordsOf(path_);
    QVERIFY(!records.empty());
    std::uint64_t expected = 1;
    std::uint64_t missing = 0;
    for (const LogRecord& record : records) {
      if (record.text.find("are missing here") != std::string::npos) {
        const std::uint64_t gap = std::stoull(record.text);
        QCOMPARE(record.seq, expected + gap - 1);
        missing += gap;
      } else {
        QCOMPARE(record.seq, expected);
      }
      expected = record.seq + 1;
    }
    QCOMPARE(expected, logger.lastSeq() + 1);
    QVERIFY2(missing >= 500, std::to_string(missing).c_str());
    QVERIFY(AwaitRecord::wait(seen, std::to_string(missing) + " records are missing in it"));
  }

  void aDiskThatIsFullFromTheBeginningIsNoReasonNotToStart() {
    AwaitRecord::Seen seen;
    Logger logger(0);
    logger.addSink(std::make_unique<AwaitRecord>(seen));
    {
      const auto writer = LogFileWriter::create(LogFile("/dev/full"), logger);
      QVERIFY(writer.ok());
      logger.info("test", "hello");
      QVERIFY(AwaitRecord::wait(seen, "No space left on device; it is paused"));
    }
    QCOMPARE(AwaitRecord::count(seen, "it is paused"), std::size_t{1});
  }
};

QTEST_APPLESS_MAIN(LogFileTest)
#include "log_file_test.moc"
