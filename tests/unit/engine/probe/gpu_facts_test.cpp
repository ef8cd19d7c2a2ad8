// SPDX-License-Identifier: GPL-3.0-or-later
// What the probe learns from NVIDIA's libraries, and from PCI where there are none.
#include "engine/probe/gpu_facts.h"

#include <string>

#include <QTemporaryDir>
#include <QTest>

#include "engine/probe/pci_address.h"
#include "tests/support/node_trees.h"

using namespace tandem;
using namespace tandem::probe;

namespace {

const std::string kFakes = TANDEM_FAKE_NVIDIA;

}  // namespace

class GpuFactsTest : public QObject {
  Q_OBJECT

  const test::NodeTrees trees_;

  [[nodiscard]] api::GpuFacts read(const char* tree,
                                   const std::optional<std::filesystem::path>& libraries) const {
    const Result<SysRoot> root = SysRoot::open(trees_ / tree);
    std::vector<std::string> notes;
    return readGpuFacts(FactReader(*root, notes), libraries);
  }

 private slots:
  void initTestCase() { QVERIFY(trees_.isMade()); }

  void withoutLibrariesPciStillShowsTheGpuAndTheReportSaysWhyNoMoreIsKnown() {
    const api::GpuFacts facts = read("spark", std::nullopt);
    QCOMPARE(facts.devices.size(), 1U);
    QCOMPARE(facts.devices[0].pciAddress, std::string("000f:01:00.0"));
    QCOMPARE(facts.devices[0].pciDeviceId.value(), std::string("0x2e12"));
    QVERIFY(!facts.devices[0].name && !facts.devices[0].memoryBytes &&
            !facts.devices[0].computeCapability);
    QCOMPARE(facts.kernelModule.version.value(), std::string("580.142"));
    QVERIFY(!facts.nvml.version && !facts.cuda.version);
    QVERIFY(facts.nvml.absentBecause.find("--libdir") != std::string::npos);
  }

  void aFolderWithoutLibrariesGivesTheLoadersOwnWords() {
    const QTemporaryDir empty;
    const api::GpuFacts facts = read("bare", empty.path().toStdString());
    QVERIFY(facts.devices.empty());
    for (const auto& [part, file] : {std::pair(facts.nvml, "/libnvidia-ml.so.1: "),
                                     std::pair(facts.cuda, "/libcuda.so.1: ")}) {
      QVERIFY(!part.version);
      QVERIFY2(part.absentBecause.find(empty.path().toStdString() + file) != std::string::npos,
               part.absentBecause.c_str());
    }
    QVERIFY(!facts.kernelModule.version);
    QVERIFY(facts.kernelModule.absentBecause.find("not loaded") != std::string::npos);
  }

  void aGpuThatSharesTheHostsMemoryHasANameAndNoMemoryOfItsOwn() {
    const api::GpuFacts facts = read("spark", kFakes + "/gb10");
    QCOMPARE(facts.devices.size(), 1U);  // PCI's, NVML's and CUDA's are one
    const api::GpuDevice& gpu = facts.devices[0];
    QCOMPARE(gpu.pciDeviceId.value(), std::string("0x2e12"));
    QCOMPARE(gpu.name.value(), std::string("NVIDIA GB10"));
    QVERIFY(!gpu.memoryBytes);
    QCOMPARE(gpu.memoryUnknownBecause, std::string("NVML says: Not Supported (3)"));
    QCOMPARE(gpu.computeCapability.value(), (api::ComputeCapability{12, 1}));
    QCOMPARE(facts.nvml.version.value(), std::string("580.142"));
    QCOMPARE(facts.cuda.version.value(), std::string("13.0"));
  }

  void zeroBytesOfMemoryAreUnknownToo() {
    const api::GpuFacts facts = read("spark", kFakes + "/zero");
    QVERIFY(!facts.devices.at(0).memoryBytes);
    QCOMPARE(facts.devices[0].memoryUnknownBecause, std::string("NVML counts 0 bytes"));
  }

  void gpusThatPciDoesNotShowAreReportedFromTheDriver() {
    const api::GpuFacts facts = read("bare", kFakes + "/h100");
    QCOMPARE(facts.devices.size(), 2U);
    QCOMPARE(facts.devices[0].pciAddress, std::string("0000:3b:00.0"));
    QCOMPARE(facts.devices[1].pciAddress, std::string("10000:af:00.0"));
    for (const api::GpuDevice& gpu : facts.devices) {
      QCOMPARE(gpu.name.value(), std::string("NVIDIA H100 80GB HBM3"));
      QCOMPARE(gpu.memoryBytes.value(), 85520809984U);
      QVERIFY(gpu.memoryUnknownBecause.empty());
      QCOMPARE(gpu.computeCapability.value(), (api::ComputeCapability{9, 0}));
    }
  }

  void aDriverThatRefusesIsAbsentInItsOwnWords_data() {
    QTest::addColumn<QString>("kind");
    QTest::addColumn<QString>("nvml");
    QTest::addColumn<QString>("cuda");
    QTest::newRow("not loaded") << "not_loaded"
                                << "NVML says: Driver Not Loaded (9)"
                                << "cuInit failed with CUDA error 100";
    QTest::newRow("updated, not rebooted") << "mismatch"
                                           << "NVML says: Driver/library version mismatch (18)"
                                           << "cuInit failed with CUDA error 803";
    QTest::newRow("too old") << "old"
                             << "undefined symbol: nvmlDeviceGetPciInfo_v3"
                             << "undefined symbol: cuDeviceGetPCIBusId";
  }
  void aDriverThatRefusesIsAbsentInItsOwnWords() {
    QFETCH(QString, kind);
    QFETCH(QString, nvml);
    QFETCH(QString, cuda);
    const api::GpuFacts facts = read("spark", kFakes + "/" + kind.toStdString());
    QVERIFY(!facts.nvml.version && !facts.cuda.version);
    QVERIFY2(facts.nvml.absentBecause.find(nvml.toStdString()) != std::string::npos,
             facts.nvml.absentBecause.c_str());
    QVERIFY2(facts.cuda.absentBecause.find(cuda.toStdString()) != std::string::npos,
             facts.cuda.absentBecause.c_str());
    QCOMPARE(facts.devices.size(), 1U);  // PCI still shows it
  }

  void pciAddressesHaveOneSpelling() {
    QCOMPARE(pciAddress("0000000F:01:00.0"), std::optional<std::string>("000f:01:00.0"));
    QCOMPARE(pciAddress("10000:AF:1f.7"), std::optional<std::string>("10000:af:1f.7"));
    for (const char* wrong : {"",
                              "virtio2",
                              "..",
                              "000f:01:00",
                              "000f:01:00.8",
                              "000f:100:00.0",
                              "000f:01:20.0",
                              "000f:-1:00.0",
                              "1:2:3:4.5",
                              "g:01:00.0",
                              "ffffffffff:01:00.0"}) {
      QVERIFY2(!pciAddress(wrong), wrong);
    }
  }
};

QTEST_GUILESS_MAIN(GpuFactsTest)
#include "gpu_facts_test.moc"
