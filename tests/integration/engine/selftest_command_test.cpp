// SPDX-License-Identifier: GPL-3.0-or-later
// `selftest --backend cuda` on machines that cannot run it: the library absent, or the driver.
#include <QFileInfo>
#include <QProcess>
#include <QTemporaryDir>
#include <QTest>

namespace {

struct Answer {
  int code = -1;
  QString output;
  QString errors;
};

Answer selftest(const QStringList& arguments) {
  QProcess program;
  program.start(QStringLiteral(TANDEM_ENGINE), QStringList{QStringLiteral("selftest")} + arguments);
  if (!program.waitForFinished() || program.exitStatus() != QProcess::NormalExit) {
    return {};
  }
  return {program.exitCode(),
          QString::fromUtf8(program.readAllStandardOutput()),
          QString::fromUtf8(program.readAllStandardError())};
}

[[maybe_unused]] bool hasNvidiaDriver() {
  return QFileInfo::exists(QStringLiteral("/dev/nvidiactl"));
}

class SelftestCommandTest : public QObject {
  Q_OBJECT

 private slots:
  void withoutTheLibraryCudaIsRefusedWithTheFileItLookedFor() {
    const QTemporaryDir empty;
    const Answer answer = selftest({QStringLiteral("--backend"),
                                    QStringLiteral("cuda"),
                                    QStringLiteral("--libdir"),
                                    empty.path()});
    QCOMPARE(answer.code, 1);
    QCOMPARE(answer.output, QString());
    QVERIFY2(answer.errors.startsWith(QStringLiteral("tandem-engine selftest: ")) &&
                 answer.errors.contains(empty.filePath(QStringLiteral("libtandem_cuda.so"))),
             qPrintable(answer.errors));
  }

  void withoutTheLibraryAutoTakesTheProcessorAndSaysWhy() {
    const QTemporaryDir empty;
    const Answer answer = selftest({QStringLiteral("--libdir"), empty.path()});
    QCOMPARE(answer.code, 0);
    QVERIFY(answer.output.startsWith(QStringLiteral("back end       cpu")));
    QVERIFY2(answer.errors.startsWith(QStringLiteral("CUDA is not used: ")),
             qPrintable(answer.errors));
  }

  void withoutADriverCudaIsRefusedInCudasWords() {
#ifdef TANDEM_CUDA_FOLDER
    if (hasNvidiaDriver()) {
      QSKIP("this machine has an NVIDIA driver");
    }
    const Answer answer = selftest({QStringLiteral("--backend"),
                                    QStringLiteral("cuda"),
                                    QStringLiteral("--libdir"),
                                    QStringLiteral(TANDEM_CUDA_FOLDER)});
    QCOMPARE(answer.code, 1);
    QCOMPARE(answer.output, QString());
    QVERIFY2(answer.errors.contains(QStringLiteral("CUDA driver")), qPrintable(answer.errors));
    QVERIFY2(answer.errors.contains(QStringLiteral("nvidia-smi")), qPrintable(answer.errors));
#else
    QSKIP("this build has no CUDA library");
#endif
  }
};

}  // namespace

QTEST_GUILESS_MAIN(SelftestCommandTest)
#include "selftest_command_test.moc"
