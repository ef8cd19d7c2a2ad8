// SPDX-License-Identifier: GPL-3.0-or-later
// The oracle's larger checkpoints, which lie beside a developer's checkout and not in the
// repository. One executable for each back end, so that both run at once.
#include <QFileInfo>
#include <QTest>

#include "tests/unit/engine/model/oracle_comparison.h"

namespace {

using tandem::model::Backend;
using namespace tandem::test;

constexpr Backend kBackend = Backend::TANDEM_TESTED_BACKEND;
const std::string kOracle = TANDEM_SOURCE_DIR "/../shared/oracle";
const std::string kTies = TANDEM_SOURCE_DIR "/tests/golden/tiny-a/act_ties.safetensors";

/// Why a checkpoint is not used here, or nothing.
const char* whyNot(const std::string& name) {
  if (kSanitized) {
    return "sanitized builds run the micro checkpoint only";
  }
  return QFileInfo::exists(QString::fromStdString(kOracle + "/" + name))
             ? nullptr
             : "the checkpoint is not beside this repository";
}

}  // namespace

class LargeModelTest : public QObject {
  Q_OBJECT

 private slots:
  void exactLogitsEqualTheOracles_data() { addExactRows({kBackend}); }
  void exactLogitsEqualTheOracles() {
    if (const char* why = whyNot("tiny-a"); why != nullptr) {
      QSKIP(why);
    }
    QFETCH(int, ranks);
    QFETCH(int, chunk);
    if (kBackend == Backend::Reference && chunk == 1) {
      QSKIP("the reference takes minutes token by token; the micro checkpoint covers it");
    }
    checkExact(kOracle + "/tiny-a", kOracle + "/tiny-a", kBackend, ranks, chunk);
  }

  void cacheLogitsAreNearTheOraclesOnACalmCheckpoint() {
    if (const char* why = whyNot("tiny-calm"); why != nullptr) {
      QSKIP(why);
    }
    if (kBackend == Backend::Reference) {
      QSKIP("exact and act numerics cover the reference");
    }
    checkCache(kOracle + "/tiny-calm", kOracle + "/tiny-calm", 2);
  }

  void actBlocksEqualTheOraclesWhereTheirChoicesDo() {
    if (const char* why = whyNot("tiny-a"); why != nullptr) {
      QSKIP(why);
    }
    checkActBlocks(kOracle + "/tiny-a/golden.safetensors",
                   kOracle + "/tiny-a",
                   kTies,
                   "p160",
                   kBackend);
  }
};

QTEST_APPLESS_MAIN(LargeModelTest)
#include "large_model_test.moc"
