// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/unit/engine/kernels/unit_golden_chains.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>

#include "engine/kernels/number_formats.h"
#include "engine/kernels/reference/reference_operators.h"
#include "tests/unit/engine/kernels/attention_golden.h"
#include "tests/unit/engine/kernels/compressor_golden.h"
#include "tests/unit/engine/kernels/expert_golden.h"

namespace tandem::tests {

namespace {

using kernels::ActivationRounding;
using kernels::kFloatRoundoff;
using kernels::RopeDirection;

/// Entries as the golden holds them: pooled, or also normalised and rotated, or also rounded.
enum class EntryStage { Pooled, KeyValue, Indexer };

/// Projections, pooling and what follows, as a compressor of the model runs them.
OperatorCase compressorCase(UnitGoldens& goldens, const std::string& file, EntryStage stage) {
  const std::vector<std::int32_t> dims = goldens.integers(file, "dims");
  const auto compressor = std::make_shared<CompressorInputs>();
  compressor->wkv = floatWeight(goldens.table(file, "wkv").values, dims[1]);
  compressor->wgate = floatWeight(goldens.table(file, "wgate").values, dims[1]);
  compressor->ape = goldens.table(file, "ape");
  compressor->ratio = dims[3];
  compressor->dim = dims[2];
  const auto x = std::make_shared<const Table>(goldens.table(file, "x"));
  if (stage == EntryStage::Pooled) {
    Table bounds = compressor->pooledBounds(*x);
    return goldenCase(
        OperatorId::Compress,
        file + ": projected and pooled",
        goldens.table(file, "pooled"),
        [=](Operators& operators, std::int64_t first, Matrix<float> out) {
          compressor->pool(operators, *x, first, out);
        },
        within(std::move(bounds)));
  }
  compressor->norm = goldens.table(file, "norm_w").values;
  compressor->cosines = goldens.table(file, "cos");
  compressor->sines = goldens.table(file, "sin");
  const std::int64_t plain = dims[2] - dims[4];
  Table bounds = stage == EntryStage::Indexer ? Table{{}, dims[2]} : compressor->entryBounds(*x);
  if (stage == EntryStage::Indexer) {
    bounds.values.resize(static_cast<std::size_t>(dims[2]) * 2);
  }
  // What is rounded to few bits must be equal; float error is too small to cross a tie here.
  for (std::int64_t r = 0; r < bounds.rows(); ++r) {
    std::fill_n(bounds.view().row(r), plain, 0.F);
  }
  return goldenCase(
      stage == EntryStage::Indexer ? OperatorId::RoundIndexerEntries : OperatorId::RoundKvEntries,
      file + (stage == EntryStage::Indexer ? ": indexer entries" : ": key-value entries"),
      goldens.table(file, "out"),
      [=](Operators& operators, std::int64_t first, Matrix<float> out) {
        compressor->entries(operators, *x, first, out);
        if (stage == EntryStage::Indexer) {
          operators.roundIndexerEntries(out, out.cols);
          return;
        }
        // The golden keeps the rotated channels in float, the operator stores them as BF16: take
        // them from before it.
        std::vector<float> rounded(static_cast<std::size_t>(out.rows * out.cols));
        const Matrix<float> stored(rounded.data(), out.rows, out.cols);
        copyRows(stored, out);
        operators.roundKvEntries(stored, out.cols - plain);
        for (std::int64_t r = 0; r < out.rows; ++r) {
          std::copy_n(stored.row(r), plain, out.row(r));
        }
      },
      within(std::move(bounds)));
}

OperatorCase overlapCase(UnitGoldens& goldens) {
  const std::string file = "unit_compressor_overlap";
  const int ratio = goldens.integers(file, "dims")[2];
  const auto kv = std::make_shared<Table>(goldens.table(file, "kv"));
  const auto score = std::make_shared<Table>(goldens.table(file, "score"));
  const Table ape = goldens.table(file, "ape");
  float largest = 0;
  float largestScore = 0;
  for (std::int64_t t = 0; t < kv->rows(); ++t) {
    for (std::int64_t c = 0; c < kv->cols; ++c) {
      float& value = score->view().row(t)[c];
      value += ape.view().row(t % ratio)[c];
      largestScore = std::max(largestScore, std::fabs(value));
      largest = std::max(largest, std::fabs(kv->view().row(t)[c]));
    }
  }
  // A weighted mean of at most `largest`: two roundings of each score, then exponentials and sums.
  const double share = 2 * (2 * 2 * static_cast<double>(largestScore) + 2 * ratio + 8);
  return goldenCase(
      OperatorId::Compress,
      file + ": pooled with the previous window",
      goldens.table(file, "pooled"),
      [=](Operators& operators, std::int64_t first, Matrix<float> out) {
        const Matrix<float> values = kv->view();
        operators.compress(out, {values, score->view()}, first, ratio);
      },
      relatively(0, share * kFloatRoundoff * static_cast<double>(largest)));
}

OperatorCase indexScoreCase(UnitGoldens& goldens) {
  const std::string file = "unit_index_score";
  const std::vector<std::int32_t> dims = goldens.integers(file, "dims");
  const auto q = std::make_shared<Table>(goldens.table(file, "q"));
  q->cols = static_cast<std::int64_t>(dims[1]) * dims[2];
  const auto keys = std::make_shared<const Table>(goldens.table(file, "kv"));
  const auto weights = std::make_shared<const Table>(goldens.table(file, "weights"));
  const std::vector<std::int32_t> visible(static_cast<std::size_t>(dims[0]), dims[3]);
  return goldenCase(
      OperatorId::IndexerTopK,
      file + ": the order of the scores",
      choicesByScore(goldens.table(file, "score"), visible),
      [=](Operators& operators, std::int64_t first, Matrix<float> out) {
        runChoices(operators,
                   out,
                   q->middleRows(first, out.rows),
                   weights->middleRows(first, out.rows),
                   keys->view(),
                   std::span(visible).subspan(static_cast<std::size_t>(first),
                                              static_cast<std::size_t>(out.rows)));
      },
      exactly());
}

/// The whole lightning indexer, in the numerics `act`.
OperatorCase indexerCase(UnitGoldens& goldens) {
  const std::string file = "unit_indexer";
  const std::vector<std::int32_t> dims = goldens.integers(file, "dims");
  const std::int64_t heads = dims[3];
  const std::int64_t headDim = dims[4];
  const auto compressor = std::make_shared<CompressorInputs>();
  compressor->wkv = floatWeight(goldens.table(file, "c_wkv").values, dims[1]);
  compressor->wgate = floatWeight(goldens.table(file, "c_wgate").values, dims[1]);
  compressor->ape = goldens.table(file, "c_ape");
  compressor->norm = goldens.table(file, "c_norm").values;
  compressor->cosines = goldens.table(file, "c_cos");
  compressor->sines = goldens.table(file, "c_sin");
  compressor->ratio = dims[6];
  compressor->dim = headDim;
  const auto x = std::make_shared<const Table>(goldens.table(file, "x"));
  const auto qr = std::make_shared<const Table>(goldens.table(file, "qr"));
  const auto cosines = std::make_shared<const Table>(goldens.table(file, "q_cos"));
  const auto sines = std::make_shared<const Table>(goldens.table(file, "q_sin"));
  const auto wqB = std::make_shared<const StoredWeight>(goldens.fp8Weight(file, "wq_b", "wq_b_s"));
  const auto projection = std::make_shared<const StoredWeight>(
      floatWeight(goldens.table(file, "weights_proj").values, dims[1]));
  std::vector<std::int32_t> visible;
  visible.reserve(static_cast<std::size_t>(dims[0]));
  for (std::int32_t r = 0; r < dims[0]; ++r) {
    visible.push_back((r + 1) / dims[6]);
  }
  return goldenCase(
      OperatorId::IndexerTopK,
      file + ": the order of the scores",
      choicesByScore(goldens.table(file, "index_score"), visible),
      [=](Operators& operators, std::int64_t first, Matrix<float> out) {
        Table q{std::vector<float>(static_cast<std::size_t>(out.rows * heads * headDim)),
                heads * headDim};
        operators.linear(q.view(),
                         qr->middleRows(first, out.rows),
                         wqB->view(),
                         ActivationRounding::Fp8Groups);
        rotateByTables(operators,
                       q.view(),
                       headDim,
                       *cosines,
                       *sines,
                       first,
                       RopeDirection::Forward);
        operators.roundIndexerEntries(q.view(), headDim);
        Table keys{std::vector<float>(static_cast<std::size_t>(x->rows() / dims[6] * headDim)),
                   headDim};
        compressor->entries(operators, *x, 0, keys.view());
        operators.roundIndexerEntries(keys.view(), headDim);
        Table weights{std::vector<float>(static_cast<std::size_t>(out.rows * heads)), heads};
        operators.linear(weights.view(),
                         x->middleRows(first, out.rows),
                         projection->view(),
                         ActivationRounding::None);
        const Table& made = q;
        const Table& entries = keys;
        const Table& headWeights = weights;
        runChoices(operators,
                   out,
                   made.view(),
                   headWeights.view(),
                   entries.view(),
                   std::span(visible).subspan(static_cast<std::size_t>(first),
                                              static_cast<std::size_t>(out.rows)));
      },
      exactly());
}

OperatorCase sparseAttentionCase(UnitGoldens& goldens) {
  const std::string file = "unit_sparse_attn";
  const std::vector<std::int32_t> dims = goldens.integers(file, "dims");
  const auto inputs = std::make_shared<AttentionInputs>();
  inputs->q = goldens.table(file, "q");
  inputs->q.cols = static_cast<std::int64_t>(dims[2]) * dims[3];
  // Every key is chosen by number: the window stays empty.
  inputs->window = goldens.table(file, "kv");
  inputs->entries = inputs->window;
  inputs->sinks = goldens.table(file, "attn_sink").values;
  const std::vector<std::int32_t> listed = goldens.integers(file, "topk_idxs");
  const auto topk = static_cast<std::ptrdiff_t>(dims[5]);
  for (std::ptrdiff_t r = 0; r < dims[1]; ++r) {
    std::vector<std::int32_t> row(listed.begin() + r * topk, listed.begin() + (r + 1) * topk);
    row.erase(std::remove(row.begin(), row.end(), -1), row.end());
    inputs->entryCount.push_back(static_cast<std::int32_t>(row.size()));
    row.resize(static_cast<std::size_t>(topk));
    inputs->chosen.insert(inputs->chosen.end(), row.begin(), row.end());
    inputs->positions.push_back(r);
  }
  if (std::fabs(static_cast<double>(goldens.table(file, "scale").values.front()) -
                1 / std::sqrt(static_cast<double>(dims[3]))) > kFloatRoundoff) {
    throw std::runtime_error(file + " scales its logits otherwise");
  }
  Table answer = goldens.table(file, "o_ref");
  answer.cols = inputs->q.cols;
  return attentionGolden(file + ": chosen keys and a sink", inputs, std::move(answer));
}

/// RoPE of (1, 0) pairs shows cosine and sine of position times frequency.
OperatorCase tableCase(UnitGoldens& goldens,
                       const std::string& kind,
                       const std::vector<double>& frequencies) {
  const std::string file = "unit_yarn";
  const Table cosines = goldens.table(file, "cos_" + kind);
  const Table sines = goldens.table(file, "sin_" + kind);
  const auto pairs = static_cast<std::int64_t>(frequencies.size());
  Table answer{{}, 2 * pairs};
  Table bounds{{}, 2 * pairs};
  for (std::int64_t p = 0; p < cosines.rows(); ++p) {
    for (std::int64_t i = 0; i < pairs; ++i) {
      answer.values.push_back(cosines.view().row(p)[i]);
      answer.values.push_back(sines.view().row(p)[i]);
      // The golden's frequency is a float after up to six operations, its angle one after one more.
      const double angle = static_cast<double>(p) * frequencies[static_cast<std::size_t>(i)];
      const auto bound = static_cast<float>(8 * kFloatRoundoff * angle + 2 * kFloatRoundoff);
      bounds.values.insert(bounds.values.end(), 2, bound);
    }
  }
  return goldenCase(
      OperatorId::Rope,
      file + ": " + kind,
      std::move(answer),
      [=](Operators& operators, std::int64_t first, Matrix<float> out) {
        std::vector<std::int64_t> positions;
        for (std::int64_t r = 0; r < out.rows; ++r) {
          positions.push_back(first + r);
          for (std::int64_t c = 0; c < out.cols; ++c) {
            out.row(r)[c] = c % 2 == 0 ? 1.F : 0.F;
          }
        }
        operators.rope(out, out.cols, positions, frequencies, RopeDirection::Forward);
      },
      within(std::move(bounds)));
}

}  // namespace

OperatorCase roundIndexerGolden(std::string name, Table x, Table answer, std::int64_t group) {
  constexpr std::int64_t kHeadDim = 128;
  // Hadamard is its own inverse, up to the roundings of twice seven butterflies on what a group's
  // head holds.
  Table inputs = x;
  Table bounds{std::vector<float>(x.values.size()), x.cols};
  for (std::size_t begin = 0; begin < x.values.size(); begin += kHeadDim) {
    const std::span<float> head(inputs.values.data() + begin, kHeadDim);
    double squares = 0;
    for (const float value : head) {
      squares += static_cast<double>(value) * static_cast<double>(value);
    }
    kernels::hadamard(head);
    const auto error = static_cast<float>(16 * kFloatRoundoff * std::sqrt(squares));
    for (std::size_t i = begin; i < begin + kHeadDim; i += static_cast<std::size_t>(group)) {
      std::vector<float> lower(x.values.begin() + static_cast<std::ptrdiff_t>(i),
                               x.values.begin() + static_cast<std::ptrdiff_t>(i) + group);
      std::vector<float> upper = lower;
      for (std::size_t j = 0; j < lower.size(); ++j) {
        lower[j] -= error;
        upper[j] += error;
      }
      kernels::roundGroupsToE2m1(lower, static_cast<int>(group));
      kernels::roundGroupsToE2m1(upper, static_cast<int>(group));
      for (std::size_t j = 0; j < lower.size(); ++j) {
        bounds.values[i + j] = std::fabs(upper[j] - lower[j]);
      }
    }
  }
  const auto kept = std::make_shared<const Table>(std::move(inputs));
  return goldenCase(
      OperatorId::RoundIndexerEntries,
      std::move(name),
      std::move(answer),
      [kept](Operators& operators, std::int64_t first, Matrix<float> out) {
        copyRows(out, kept->middleRows(first, out.rows));
        operators.roundIndexerEntries(out, kHeadDim);
      },
      within(std::move(bounds)));
}

std::vector<OperatorCase> unitGoldenChains(UnitGoldens& goldens) {
  std::vector<OperatorCase> cases;
  cases.push_back(compressorCase(goldens, "unit_compressor", EntryStage::Pooled));
  cases.push_back(compressorCase(goldens, "unit_compressor_full", EntryStage::KeyValue));
  cases.push_back(compressorCase(goldens, "unit_compressor_full_rotate", EntryStage::Indexer));
  cases.push_back(overlapCase(goldens));
  cases.push_back(indexScoreCase(goldens));
  cases.push_back(indexerCase(goldens));
  cases.push_back(sparseAttentionCase(goldens));
  cases.push_back(unitRouterCase(goldens));
  cases.push_back(unitMoeCase(goldens));
  cases.push_back(tableCase(goldens, "off", frequencies(RopeTable::Window)));
  cases.push_back(tableCase(goldens, "yarn", frequencies(RopeTable::Compressed)));
  return cases;
}

}  // namespace tandem::tests
