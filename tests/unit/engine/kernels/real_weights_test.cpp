// SPDX-License-Identifier: GPL-3.0-or-later
// Every operator on both back ends against slices of the real checkpoint beside the repository.
#include "tests/unit/engine/kernels/real_weights.h"

#include <array>
#include <iterator>
#include <memory>
#include <set>

#include <QTest>

#include "engine/kernels/cpu/cpu_operators.h"
#include "tests/support/shared_data.h"
#include "tests/unit/engine/kernels/golden_check.h"

namespace {

using tandem::kernels::OperatorCase;
using tandem::test::sharedData;
using tandem::tests::addGoldenRows;
using tandem::tests::checkBoundIsNarrow;
using tandem::tests::checkGolden;
using tandem::tests::RealWeights;

/// Most goldens here round to BF16 on the way: some such roundings, as a share of the answer.
constexpr double kWidest = 1.0 / 16;

struct NotApplicable {
  const char* file;
  const char* why;
};

constexpr const char* kNoWqA = "the wq_a weights it belongs to are not among the files";
constexpr const char* kNoQr = "its input qr is not among the files, nor the wq_a that makes it";
constexpr const char* kNoWoA = "the wo_a weights it belongs to are not among the files";
constexpr const char* kNoExpert = "the w1 and w3 weights it belongs to are not among the files";
constexpr const char* kNoCompressor = "the compressor's wkv and wgate are not among the files";
constexpr const char* kNoWoB = "the wo_b weights that make it are not among the files";
constexpr const char* kNoIndexQ = "the indexer's wq_b weights are not among the files";
constexpr const char* kAgain = "repeats numbers of another fixture, which are used there";
constexpr const char* kInside = "a number inside an operator, which shows in no output";
constexpr const char* kNoHead = "the head's weights are not among the files";

/// Files that no operator can be held against, and why.
constexpr std::array kNotApplicable{
    NotApplicable{"v3_router_real/hash-diagnostics.f32.bin", kInside},
    NotApplicable{"v3_router_real/learned-diagnostics.f32.bin", kInside},
    NotApplicable{"v4_moe_real/input.bf16.bin", kNoExpert},
    NotApplicable{"v4_moe_real/shared-w1-scale.e8m0.bin", kNoExpert},
    NotApplicable{"v4_moe_real/shared-w3-scale.e8m0.bin", kNoExpert},
    NotApplicable{"v4_routed_expert_real/input.bf16.bin", kNoExpert},
    NotApplicable{"v4_routed_expert_real/w1-scale.e8m0.bin", kNoExpert},
    NotApplicable{"v4_routed_expert_real/w3-scale.e8m0.bin", kNoExpert},
    NotApplicable{"v4_moe_real/routed-ids.u32.bin", kAgain},
    NotApplicable{"v4_moe_real/routed-weights.f32.bin", kAgain},
    NotApplicable{"v5_attn_ratio0_real/q-a-token0-first8.bf16.bin", kAgain},
    NotApplicable{"v5_attention_ratio128_coherent_real/q-norm.bf16.bin", kNoWqA},
    NotApplicable{"v5_attention_ratio128_coherent_real/wq-a-scale.e8m0.bin", kNoWqA},
    NotApplicable{"v5_attn_ratio0_real/q-norm.bf16.bin", kNoWqA},
    NotApplicable{"v5_attn_ratio0_real/wq-a-scale.e8m0.bin", kNoWqA},
    NotApplicable{"v5_csa_indexer_real/q-norm.bf16.bin", kNoWqA},
    NotApplicable{"v5_csa_indexer_real/wq-a-scale.e8m0.bin", kNoWqA},
    NotApplicable{"v5_attention_ratio128_coherent_real/wq-b-head0.fp8.bin", kNoQr},
    NotApplicable{"v5_attention_ratio128_coherent_real/wq-b-scale-head0.e8m0.bin", kNoQr},
    NotApplicable{"v5_attn_ratio0_real/wq-b-head0-2.fp8.bin", kNoQr},
    NotApplicable{"v5_attn_ratio0_real/wq-b-scale-head0-2.e8m0.bin", kNoQr},
    NotApplicable{"v5_csa_indexer_real/index-wq-b-scale.e8m0.bin", kNoIndexQ},
    NotApplicable{"v5_attn_output_group0_real/group-input.bf16.bin", kNoWoA},
    NotApplicable{"v5_attn_output_group0_real/wo-a-group0-scale.e8m0.bin", kNoWoA},
    NotApplicable{"v6_attention_branch_real/group-latent-all8.bf16.bin", kNoWoA},
    NotApplicable{"v7_layer4_route_real/group-latent-all8.bf16.bin", kNoWoA},
    NotApplicable{"v6_attention_branch_real/attention-branch.bf16.bin", kNoWoB},
    NotApplicable{"v5_compressor_ratio128_real/ape.f32.bin", kNoCompressor},
    NotApplicable{"v5_compressor_ratio128_real/input.bf16.bin", kNoCompressor},
    NotApplicable{"v5_csa_attention_real/main-comp-ape.f32.bin", kNoCompressor},
    NotApplicable{"v8_head_primitive_real/hc-mixes.f32.bin", kInside},
    NotApplicable{"v8_head_primitive_real/final-norm.bf16.bin", kNoHead},
    NotApplicable{"v8_head_primitive_real/selected-logits.f32.bin", kNoHead},
    NotApplicable{"v8_head_primitive_real/selected-row-ids.u32.bin", kNoHead},
};

class RealWeightsTest : public QObject {
  Q_OBJECT

  std::unique_ptr<RealWeights> files_;
  std::vector<OperatorCase> cases_;

 private slots:
  void initTestCase() {
    const QString folder = sharedData(QStringLiteral("real-weights"));
    if (folder.isEmpty()) {
      QSKIP("../shared/data/real-weights is not here");
    }
    files_ = std::make_unique<RealWeights>(folder.toStdString());
    for (auto* make : {tandem::tests::realAttentionCases,
                       tandem::tests::realEntryCases,
                       tandem::tests::realBlockCases,
                       tandem::tests::realExpertCases}) {
      std::vector<OperatorCase> part = make(*files_);
      std::move(part.begin(), part.end(), std::back_inserter(cases_));
    }
  }

  void operatorsEqualTheGoldens_data() { addGoldenRows(cases_); }
  void operatorsEqualTheGoldens() {
    QFETCH(int, index);
    QFETCH(bool, reference);
    const QString wrong = checkGolden(cases_[static_cast<std::size_t>(index)], reference);
    QVERIFY2(wrong.isEmpty(), qPrintable(wrong));
  }

  void aBoundIsNeverWide() {
    for (const OperatorCase& golden : cases_) {
      const QString wrong = checkBoundIsNarrow(golden, kWidest);
      QVERIFY2(wrong.isEmpty(), qPrintable(wrong));
    }
  }

  // fp4_release_convention.json: byte 0x21 under scale 0x80 is 1, then 2.
  void theLowNibbleIsTheEvenColumn() {
    tandem::tests::StoredWeight weight;
    weight.format = tandem::kernels::WeightFormat::Mxfp4;
    weight.rows = 1;
    weight.cols = 32;
    weight.codes.assign(16, 0);
    weight.codes.front() = 0x21;
    weight.scales = {0x80};
    const std::vector<float> x = [] {
      std::vector<float> rows(64);
      rows[0] = 1;
      rows[33] = 1;
      return rows;
    }();
    tandem::kernels::ReferenceOperators reference;
    tandem::kernels::CpuOperators cpu(1);
    for (tandem::kernels::Operators* operators :
         std::initializer_list<tandem::kernels::Operators*>{&reference, &cpu}) {
      std::vector<float> out(2);
      operators->linear({out.data(), 2, 1},
                        {x.data(), 2, 32},
                        weight.view(),
                        tandem::kernels::ActivationRounding::None);
      QCOMPARE(out, (std::vector<float>{1.F, 2.F}));
    }
  }

  void everyFileWasUsedOrSaysWhyNot() {
    std::set<std::string> unread = files_->unread();
    for (const NotApplicable& listed : kNotApplicable) {
      QVERIFY2(unread.erase(listed.file) == 1, listed.file);
    }
    QStringList unexplained;
    for (const std::string& file : unread) {
      unexplained.append(QString::fromStdString(file));
    }
    QVERIFY2(unexplained.isEmpty(), qPrintable(unexplained.join(u'\n')));
  }
};

}  // namespace

QTEST_GUILESS_MAIN(RealWeightsTest)
#include "real_weights_test.moc"
