// SPDX-License-Identifier: GPL-3.0-or-later
// Real weights: what goes into the caches, and how the indexer chooses of it.
#include <cmath>
#include <memory>
#include <stdexcept>
#include <utility>

#include "engine/kernels/number_formats.h"
#include "tests/unit/engine/kernels/attention_golden.h"
#include "tests/unit/engine/kernels/compressor_golden.h"
#include "tests/unit/engine/kernels/real_weights.h"

namespace tandem::tests {

namespace {

using kernels::ActivationRounding;
using kernels::RopeDirection;

constexpr std::int64_t kHidden = 4096;
constexpr std::int64_t kDim = 512;
constexpr std::int64_t kIndexDim = 128;
constexpr std::int64_t kRopeDim = 64;
constexpr float kEps = 1e-6F;

/// A token of which one channel is not zero.
struct SparseToken {
  std::int64_t row;
  std::int64_t lane;
  std::uint16_t bf16;
};

Table sparseRows(std::int64_t rows, const std::vector<SparseToken>& tokens) {
  Table made{std::vector<float>(static_cast<std::size_t>(rows * kHidden)), kHidden};
  for (const SparseToken& token : tokens) {
    made.view().row(token.row)[token.lane] = kernels::bf16ToFloat(token.bf16);
  }
  return made;
}

/// wkv, norm, rotation and rounding, with BF16 between them as in the official code. A rotated
/// channel may be the neighbouring BF16 number: the files' angles are products in float.
OperatorCase keyValues(std::string name,
                       Table tokens,
                       std::vector<std::int64_t> positions,
                       StoredWeight weight,
                       Table norm,
                       RopeTable table,
                       Table answer) {
  const auto x = std::make_shared<const Table>(std::move(tokens));
  const auto wkv = std::make_shared<const StoredWeight>(std::move(weight));
  OperatorCase made = bf16Case(
      OperatorId::RoundKvEntries,
      std::move(name),
      std::move(answer),
      [=, norm = std::move(norm.values), positions = std::move(positions)](Operators& operators,
                                                                           std::int64_t first,
                                                                           Matrix<float> out) {
        operators.linear(out,
                         x->middleRows(first, out.rows),
                         wkv->view(),
                         ActivationRounding::Fp8Groups);
        roundRowsToBf16(out);
        operators.rmsNorm(out, out, norm, kEps);
        roundRowsToBf16(out);
        operators.rope(out,
                       kDim,
                       std::span(positions).subspan(static_cast<std::size_t>(first),
                                                    static_cast<std::size_t>(out.rows)),
                       frequencies(table),
                       RopeDirection::Forward);
        roundRowsToBf16(out);
        operators.roundKvEntries(out, kRopeDim);
      });
  made.allow = [](Matrix<float> allowed, Matrix<const float> expected) {
    for (std::int64_t r = 0; r < expected.rows; ++r) {
      for (std::int64_t c = 0; c < kDim; ++c) {
        allowed.row(r)[c] = c < kDim - kRopeDim ? 0.F
                                                : static_cast<float>(2 * kBf16Roundoff) *
                                                      std::fabs(expected.row(r)[c]);
      }
    }
  };
  return made;
}

/// The official code rounds to BF16 between the Hadamard transform and FP4, the engine does not: a
/// step where that can move an element across a tie, else nothing.
Table fp4TieBounds(Table entries) {
  constexpr int kGroup = 32;
  Table bounds{{}, entries.cols};
  for (std::int64_t r = 0; r < entries.rows(); ++r) {
    kernels::hadamard(entries.view().rowSpan(r));
    for (std::int64_t c = 0; c < entries.cols; c += kGroup) {
      const float* group = entries.view().row(r) + c;
      std::vector<float> lower(group, group + kGroup);
      std::vector<float> upper = lower;
      for (std::size_t i = 0; i < lower.size(); ++i) {
        lower[i] *= static_cast<float>(1 - kBf16Roundoff);
        upper[i] *= static_cast<float>(1 + kBf16Roundoff);
      }
      kernels::roundGroupsToE2m1(lower, kGroup);
      kernels::roundGroupsToE2m1(upper, kGroup);
      for (std::size_t i = 0; i < lower.size(); ++i) {
        bounds.values.push_back(std::fabs(upper[i] - lower[i]));
      }
    }
  }
  return bounds;
}

/// Norm, rotation and rounding of two pooled entries, each stage from the golden before it.
void addEntryStages(std::vector<OperatorCase>& cases,
                    const std::string& name,
                    const Table& pooled,
                    const Table& normWeight,
                    const Table& normed,
                    const Table& rotated,
                    const Table& stored,
                    int ratio) {
  const auto inputs =
      std::make_shared<const std::vector<Table>>(std::vector<Table>{pooled, normed, rotated});
  cases.push_back(bf16Case(
      OperatorId::RmsNorm,
      name + ": norm of pooled entries",
      normed,
      [inputs,
       weight = normWeight.values](Operators& operators, std::int64_t first, Matrix<float> out) {
        operators.rmsNorm(out, (*inputs)[0].middleRows(first, out.rows), weight, kEps);
      }));
  cases.push_back(
      bf16Case(OperatorId::Rope,
               name + ": rotation of entries",
               rotated,
               [inputs, ratio](Operators& operators, std::int64_t first, Matrix<float> out) {
                 copyRows(out, (*inputs)[1].middleRows(first, out.rows));
                 std::vector<std::int64_t> positions;
                 for (std::int64_t r = 0; r < out.rows; ++r) {
                   positions.push_back((first + r) * ratio);
                 }
                 operators.rope(out,
                                out.cols,
                                positions,
                                frequencies(RopeTable::Compressed),
                                RopeDirection::Forward);
               }));
  if (stored.cols != kIndexDim) {
    cases.push_back(bf16Case(OperatorId::RoundKvEntries,
                             name + ": entries as stored",
                             stored,
                             [inputs](Operators& operators, std::int64_t first, Matrix<float> out) {
                               copyRows(out, (*inputs)[2].middleRows(first, out.rows));
                               operators.roundKvEntries(out, kRopeDim);
                             }));
    return;
  }
  cases.push_back(goldenCase(
      OperatorId::RoundIndexerEntries,
      name + ": entries as stored",
      stored,
      [inputs](Operators& operators, std::int64_t first, Matrix<float> out) {
        copyRows(out, (*inputs)[2].middleRows(first, out.rows));
        operators.roundIndexerEntries(out, kIndexDim);
      },
      within(fp4TieBounds(rotated))));
}

/// The query of one head. The official norm of a head runs in BF16 throughout: square, mean, eps,
/// root and product round to it, the rotation once more.
OperatorCase headQuery(RealWeights& files) {
  const std::string folder = "v5_csa_attention_real/";
  const auto qr =
      std::make_shared<const Table>(files.bf16("v5_csa_indexer_real/qr-pos7.bf16.bin", 1024));
  const auto weight = std::make_shared<const StoredWeight>(
      files.fp8Weight(folder + "main-wq-b-head0.fp8.bin",
                      folder + "main-wq-b-scale-head0.e8m0.bin",
                      1024));
  Table answer = files.bf16(folder + "q-head0-pos7.bf16.bin", kDim);
  constexpr double kNorm = (1.0 + 1.0 + 1.0) / 2 + 1.0 + 1.0;
  Table bounds{{}, kDim};
  for (std::size_t i = 0; i < answer.values.size(); ++i) {
    const double own = std::fabs(static_cast<double>(answer.values[i]));
    const double other = std::fabs(static_cast<double>(answer.values[i ^ 1U]));
    const bool rotated = static_cast<std::int64_t>(i) >= kDim - kRopeDim;
    bounds.values.push_back(
        static_cast<float>(kBf16Roundoff * (rotated ? (kNorm + 1) * (own + other) : kNorm * own)));
  }
  return goldenCase(
      OperatorId::Rope,
      folder + ": wq_b, norm and rotation of one head",
      std::move(answer),
      [=](Operators& operators, std::int64_t first, Matrix<float> out) {
        operators.linear(out,
                         qr->middleRows(first, out.rows),
                         weight->view(),
                         ActivationRounding::Fp8Groups);
        roundRowsToBf16(out);
        operators.rmsNorm(out, out, {}, kEps);
        operators.rope(out,
                       kDim,
                       std::vector<std::int64_t>{7},
                       frequencies(RopeTable::Compressed),
                       RopeDirection::Forward);
      },
      within(std::move(bounds)));
}

void addIndexer(std::vector<OperatorCase>& cases, RealWeights& files, const Table& tokens) {
  const std::string folder = "v5_csa_indexer_real/";
  const auto x = std::make_shared<const Table>(tokens);
  const auto compressor = std::make_shared<CompressorInputs>();
  compressor->wkv = files.bf16Weight(folder + "index-comp-wkv.bf16.bin", kHidden);
  compressor->wgate = files.bf16Weight(folder + "index-comp-wgate.bf16.bin", kHidden);
  compressor->ape = files.floats(folder + "index-comp-ape.f32.bin", 2 * kIndexDim);
  compressor->ratio = 4;
  compressor->dim = kIndexDim;
  const Table pooled = files.bf16(folder + "index-comp-pooled.bf16.bin", kIndexDim);
  cases.push_back(bf16Case(OperatorId::Compress,
                           folder + ": projected and pooled",
                           pooled,
                           [=](Operators& operators, std::int64_t first, Matrix<float> out) {
                             compressor->pool(operators, *x, first, out);
                           }));
  const Table stored = files.bf16(folder + "index-comp-kv.bf16.bin", kIndexDim);
  addEntryStages(cases,
                 folder,
                 pooled,
                 files.bf16(folder + "index-comp-norm.bf16.bin", kIndexDim),
                 files.bf16(folder + "index-comp-post-norm.bf16.bin", kIndexDim),
                 files.bf16(folder + "index-comp-post-rope.bf16.bin", kIndexDim),
                 stored,
                 4);

  const auto projection = std::make_shared<const StoredWeight>(
      files.bf16Weight(folder + "weights-proj.bf16.bin", kHidden));
  const Table headWeights = files.bf16(folder + "index-weights.bf16.bin", 64);
  cases.push_back(bf16Case(OperatorId::Linear,
                           folder + ": weights of the heads",
                           headWeights,
                           [=](Operators& operators, std::int64_t first, Matrix<float> out) {
                             operators.linear(out,
                                              x->middleRows(7 + first, out.rows),
                                              projection->view(),
                                              ActivationRounding::None);
                             roundRowsToBf16(out);
                             for (float& weight : out.rowSpan(0)) {
                               weight *= 1.F / std::sqrt(static_cast<float>(kIndexDim * 64));
                             }
                           }));

  const Table scores = files.bf16(folder + "index-scores.bf16.bin", 2);
  const Table answer = choicesByScore(scores, {2});
  // The fixture's own ranking counts the entries behind 8 window rows, the best first.
  if (files.integers(folder + "topk-row7.i32.bin") !=
      std::vector<std::int32_t>{8 + static_cast<std::int32_t>(answer.values.front()),
                                9 - static_cast<std::int32_t>(answer.values.front())}) {
    throw std::runtime_error(folder + " ranks otherwise than its scores");
  }
  const auto q =
      std::make_shared<const Table>(files.bf16(folder + "index-q-pos7.bf16.bin", 64 * kIndexDim));
  cases.push_back(goldenCase(
      OperatorId::IndexerTopK,
      folder + ": the order of the scores",
      answer,
      [=](Operators& operators, std::int64_t first, Matrix<float> out) {
        runChoices(operators,
                   out,
                   q->middleRows(first, out.rows),
                   headWeights.view(),
                   stored.view(),
                   std::vector<std::int32_t>{2});
      },
      exactly()));
}

struct History {
  Table tokens{{}, kHidden};
  std::vector<std::int64_t> positions;
  Table keys{{}, kDim};
};

/// 256 tokens, each with one channel of the input of v2_wq_a_real. Left out are those where that
/// channel is zero: the fixture's recipe does not say what it took instead.
History historyTokens(RealWeights& files) {
  const Table source = files.bf16("v2_wq_a_real/input.bf16.bin", kHidden);
  const Table keys = files.bf16("v5_attention_history_ratio128_real/local-kv-0-255.bf16.bin", kDim);
  History made;
  for (std::int64_t p = 0; p < keys.rows(); ++p) {
    const std::int64_t lane = (p * 2053 + 17) % kHidden;
    const float value = source.values[static_cast<std::size_t>((p * 1543 + lane) % kHidden)];
    if (value == 0.F) {
      continue;
    }
    made.positions.push_back(p);
    made.tokens.values.resize(made.tokens.values.size() + kHidden);
    made.tokens.view().row(made.tokens.rows() - 1)[lane] = p % 3 == 1 ? -value : value;
    const std::span<const float> row = keys.view().rowSpan(p);
    made.keys.values.insert(made.keys.values.end(), row.begin(), row.end());
  }
  return made;
}

}  // namespace

std::vector<OperatorCase> realEntryCases(RealWeights& files) {
  std::vector<OperatorCase> cases;
  const std::string window = "v5_attn_ratio0_real/";
  cases.push_back(
      keyValues(window + ": keys of two tokens",
                files.bf16(window + "input.bf16.bin", kHidden),
                {0, 1},
                files.fp8Weight(window + "wkv.fp8.bin", window + "wkv-scale.e8m0.bin", kHidden),
                files.bf16(window + "kv-norm.bf16.bin", kDim),
                RopeTable::Window,
                files.bf16(window + "kv-after-qat.bf16.bin", kDim)));

  // The recipes of these tokens are in each provenance.json.
  const std::string coherent = "v5_attention_ratio128_coherent_real/";
  const auto layer3 = [&] {
    return files.fp8Weight(coherent + "wkv.fp8.bin", coherent + "wkv-scale.e8m0.bin", kHidden);
  };
  const Table layer3Norm = files.bf16(coherent + "kv-norm.bf16.bin", kDim);
  cases.push_back(keyValues(coherent + ": keys of the tokens that are not zero",
                            sparseRows(2, {{0, 17, 0x3DA0}, {1, 3340, 0xBF20}}),
                            {0, 255},
                            layer3(),
                            layer3Norm,
                            RopeTable::Compressed,
                            files.bf16(coherent + "local-kv-active-0-255.bf16.bin", kDim)));
  History history = historyTokens(files);
  cases.push_back(keyValues("v5_attention_history_ratio128_real/: keys of its history",
                            std::move(history.tokens),
                            std::move(history.positions),
                            layer3(),
                            layer3Norm,
                            RopeTable::Compressed,
                            std::move(history.keys)));
  cases.push_back(keyValues("v6_attention_branch_real: key at position 0",
                            files.bf16("v6_hc_composition_real/attn-pre.bf16.bin", kHidden),
                            {0},
                            layer3(),
                            layer3Norm,
                            RopeTable::Compressed,
                            files.bf16("v6_attention_branch_real/kv-local.bf16.bin", kDim)));

  const std::string csa = "v5_csa_attention_real/";
  const Table eight = sparseRows(8, {{3, 2080, 0x3D80}, {7, 2100, 0xC050}});
  cases.push_back(
      keyValues(csa + ": keys of the tokens that are not zero",
                sparseRows(2, {{0, 2080, 0x3D80}, {1, 2100, 0xC050}}),
                {3, 7},
                files.fp8Weight(csa + "main-wkv.fp8.bin", csa + "main-wkv-scale.e8m0.bin", kHidden),
                files.bf16(csa + "main-kv-norm.bf16.bin", kDim),
                RopeTable::Compressed,
                files.bf16(csa + "local-kv-active-3-7.bf16.bin", kDim)));
  cases.push_back(headQuery(files));
  addEntryStages(cases,
                 csa,
                 files.bf16(csa + "main-comp-pooled.bf16.bin", kDim),
                 files.bf16(csa + "main-comp-norm.bf16.bin", kDim),
                 files.bf16(csa + "main-comp-post-norm.bf16.bin", kDim),
                 files.bf16(csa + "main-comp-post-rope.bf16.bin", kDim),
                 files.bf16(csa + "main-comp-kv.bf16.bin", kDim),
                 4);
  const std::string hca = "v5_compressor_ratio128_real/";
  addEntryStages(cases,
                 hca,
                 files.bf16(hca + "pooled-before-norm.bf16.bin", kDim),
                 files.bf16(hca + "norm.bf16.bin", kDim),
                 files.bf16(hca + "post-norm.bf16.bin", kDim),
                 files.bf16(hca + "post-yarn-rope.bf16.bin", kDim),
                 files.bf16(hca + "compressed-kv.bf16.bin", kDim),
                 128);
  addIndexer(cases, files, eight);
  return cases;
}

}  // namespace tandem::tests
