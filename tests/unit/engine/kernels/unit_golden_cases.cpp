// SPDX-License-Identifier: GPL-3.0-or-later
// Unit goldens of linears, norm, hyper-connections, rotation and roundings.
#include "tests/unit/engine/kernels/unit_golden_cases.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <utility>

#include "tests/unit/engine/kernels/hyper_golden.h"
#include "tests/unit/engine/kernels/unit_golden_chains.h"

namespace tandem::tests {

namespace {

using kernels::ActivationRounding;
using kernels::kFloatRoundoff;
using kernels::RopeDirection;
using kernels::sumError;

/// How often a golden and the engine round on the way to the same number: each once.
constexpr double kBoth = 2;

OperatorCase linearCase(std::string name, Table x, StoredWeight weight, Table answer) {
  const auto input = std::make_shared<const Table>(std::move(x));
  const auto stored = std::make_shared<const StoredWeight>(std::move(weight));
  // The inputs are products of codes and float scales, rounded once: one roundoff a term.
  Table bounds = scaled(productMagnitudes(*input, stored->view()),
                        kBoth * sumError(stored->cols) + kFloatRoundoff);
  return goldenCase(
      OperatorId::Linear,
      std::move(name),
      std::move(answer),
      [input, stored](Operators& operators, std::int64_t first, Matrix<float> out) {
        operators.linear(out,
                         input->middleRows(first, out.rows),
                         stored->view(),
                         ActivationRounding::None);
      },
      within(std::move(bounds)));
}

/// Codes times the scale of their group of 128 channels.
Table scaledGroups(Table codes, const Table& scales) {
  constexpr std::int64_t kGroup = 128;
  for (std::int64_t r = 0; r < codes.rows(); ++r) {
    for (std::int64_t c = 0; c < codes.cols; ++c) {
      codes.view().row(r)[c] *= scales.view().row(r)[c / kGroup];
    }
  }
  return codes;
}

OperatorCase groupedCase(UnitGoldens& goldens) {
  const std::string file = "unit_ogroup_gemm";
  const std::vector<std::int32_t> dims = goldens.integers(file, "dims");
  const auto groups = static_cast<int>(dims[1]);
  const auto o = std::make_shared<Table>(goldens.table(file, "o"));
  const auto weight = std::make_shared<const StoredWeight>(
      floatWeight(goldens.table(file, "wo_a").values, dims[3]));
  o->cols = groups * dims[3];
  Table answer = goldens.table(file, "out_ref");
  answer.cols = groups * dims[2];
  Table bounds{{}, answer.cols};
  for (std::int64_t r = 0; r < o->rows(); ++r) {
    for (int g = 0; g < groups; ++g) {
      Table part{{o->view().row(r) + g * dims[3], o->view().row(r) + (g + 1) * dims[3]}, dims[3]};
      const Table sums = productMagnitudes(part, weight->view().middleRows(g * dims[2], dims[2]));
      bounds.values.insert(bounds.values.end(), sums.values.begin(), sums.values.end());
    }
  }
  return goldenCase(
      OperatorId::GroupedLinear,
      file + ": two groups",
      std::move(answer),
      [o, weight, groups](Operators& operators, std::int64_t first, Matrix<float> out) {
        operators.groupedLinear(out, o->middleRows(first, out.rows), weight->view(), groups);
      },
      within(scaled(std::move(bounds), kBoth * sumError(dims[3]))));
}

OperatorCase normCase(UnitGoldens& goldens, const std::string& answer, bool weighted) {
  const std::string file = "unit_rmsnorm";
  const auto x = std::make_shared<const Table>(goldens.table(file, "x"));
  const auto weight = std::make_shared<const Table>(goldens.table(file, "weight"));
  const float eps = goldens.table(file, "eps").values.front();
  return goldenCase(
      OperatorId::RmsNorm,
      file + (weighted ? ": weighted" : ": without a weight"),
      goldens.table(file, answer),
      [=](Operators& operators, std::int64_t first, Matrix<float> out) {
        operators.rmsNorm(
            out,
            x->middleRows(first, out.rows),
            weighted ? std::span<const float>(weight->values) : std::span<const float>(),
            eps);
      },
      // The root halves the error of the sum; then mean, eps, root, reciprocal and two products.
      relatively(kBoth * (sumError(x->cols) / 2 + 6 * kFloatRoundoff)));
}

OperatorCase hyperPreCase(UnitGoldens& goldens) {
  const std::string file = "unit_hc";
  const std::vector<std::int32_t> dims = goldens.integers(file, "dims");
  const std::int64_t m = dims[1];
  const std::int64_t dim = dims[2];
  const auto streams = std::make_shared<Table>(goldens.table(file, "x"));
  streams->cols = m * dim;
  const auto parameters = std::make_shared<std::vector<HyperParameters>>();
  parameters->push_back({goldens.table(file, "hc_fn"),
                         goldens.table(file, "hc_base").values,
                         goldens.table(file, "hc_scale").values,
                         dims[3]});
  Table comb = goldens.table(file, "comb");
  comb.cols = m * m;
  return hyperPreGolden(file + ": collapse and mix",
                        streams,
                        parameters,
                        goldens.table(file, "y_pre"),
                        goldens.table(file, "post"),
                        comb);
}

/// The mixing logits are given, so `fn` is the identity times the norm of the row. The collapsed
/// row then is a sum of parts of the logits, and shows `pre`.
OperatorCase sinkhornCase(UnitGoldens& goldens) {
  const std::string file = "unit_hc_sinkhorn";
  const std::vector<std::int32_t> params = goldens.integers(file, "params");
  const std::int64_t m = params[1];
  const auto mixes = std::make_shared<const Table>(goldens.table(file, "mixes"));
  const auto rows = std::make_shared<std::vector<HyperParameters>>();
  const std::int64_t dim = mixes->cols / m;
  const Table pre = goldens.table(file, "pre");
  Table post = goldens.table(file, "post");
  Table comb = goldens.table(file, "comb");
  comb.cols = m * m;
  Table x{{}, dim};
  for (std::int64_t r = 0; r < mixes->rows(); ++r) {
    const float* v = mixes->view().row(r);
    double squares = 0;
    for (std::int64_t i = 0; i < mixes->cols; ++i) {
      squares += static_cast<double>(v[i]) * static_cast<double>(v[i]);
    }
    const double norm = std::sqrt(squares / static_cast<double>(mixes->cols) + kHyperEps);
    HyperParameters own;
    own.base = goldens.table(file, "hc_base").values;
    own.scale = goldens.table(file, "hc_scale").values;
    own.iterations = params[2];
    own.fn = {std::vector<float>(static_cast<std::size_t>(mixes->cols * mixes->cols)), mixes->cols};
    for (std::int64_t i = 0; i < mixes->cols; ++i) {
      own.fn.view().row(i)[i] = static_cast<float>(norm);
    }
    rows->push_back(std::move(own));
    for (std::int64_t c = 0; c < dim; ++c) {
      double sum = 0;
      for (std::int64_t i = 0; i < m; ++i) {
        sum += static_cast<double>(pre.view().row(r)[i]) * static_cast<double>(v[i * dim + c]);
      }
      x.values.push_back(static_cast<float>(sum));
    }
  }
  return hyperPreGolden(file + ": pre, post and Sinkhorn", mixes, rows, x, post, comb);
}

OperatorCase hyperPostCase(UnitGoldens& goldens) {
  const std::string file = "unit_hc";
  const auto streams = std::make_shared<Table>(goldens.table(file, "x"));
  const auto y = std::make_shared<const Table>(goldens.table(file, "x_new"));
  const auto post = std::make_shared<Table>(goldens.table(file, "post"));
  const auto comb = std::make_shared<Table>(goldens.table(file, "comb"));
  const std::int64_t m = post->cols;
  streams->cols = m * y->cols;
  comb->cols = m * m;
  Table answer = goldens.table(file, "y_post");
  answer.cols = streams->cols;
  return hyperPostGolden(file + ": mix back", streams, y, post, comb, answer);
}

OperatorCase ropeCase(UnitGoldens& goldens, const std::string& answer, RopeDirection direction) {
  const std::string file = "unit_rope";
  const auto x = std::make_shared<const Table>(goldens.table(file, "x"));
  const auto cosines = std::make_shared<const Table>(goldens.table(file, "cos"));
  const auto sines = std::make_shared<const Table>(goldens.table(file, "sin"));
  float largest = 0;
  for (const float value : x->values) {
    largest = std::max(largest, std::fabs(value));
  }
  return goldenCase(
      OperatorId::Rope,
      file + (direction == RopeDirection::Forward ? ": forward" : ": back"),
      goldens.table(file, answer),
      [=](Operators& operators, std::int64_t first, Matrix<float> out) {
        copyRows(out, x->middleRows(first, out.rows));
        rotateByTables(operators, out, x->cols, *cosines, *sines, first, direction);
      },
      // Two products and their sum on each side, and the tables' own rounding.
      relatively(0, kBoth * 4 * kFloatRoundoff * 2 * static_cast<double>(largest)));
}

OperatorCase roundKvCase(UnitGoldens& goldens) {
  const std::string file = "unit_act_quant";
  const auto x = std::make_shared<const Table>(goldens.table(file, "x"));
  return goldenCase(
      OperatorId::RoundKvEntries,
      file + ": groups of " + std::to_string(goldens.integers(file, "dims")[2]),
      goldens.table(file, "y_ref"),
      [x](Operators& operators, std::int64_t first, Matrix<float> out) {
        copyRows(out, x->middleRows(first, out.rows));
        operators.roundKvEntries(out, 0);
      },
      exactly());
}

/// The operator's second half is golden; its first is checked by unit_hadamard. Here its input is
/// the Hadamard transform of the golden input, whose transform is that input up to roundings, so
/// only elements that a rounding cannot move across a tie are compared.
OperatorCase roundIndexerCase(UnitGoldens& goldens) {
  const std::string file = "unit_act_quant_fp4";
  const std::int64_t group = goldens.integers(file, "dims")[2];
  Table x = goldens.table(file, "x");
  Table answer = goldens.table(file, "y_ref");
  return roundIndexerGolden(file + ": groups of " + std::to_string(group),
                            std::move(x),
                            std::move(answer),
                            group);
}

}  // namespace

std::vector<OperatorCase> unitGoldenCases(UnitGoldens& goldens) {
  std::vector<OperatorCase> cases;
  cases.push_back(linearCase("unit_fp8_gemm: 48 x 512 -> 256",
                             scaledGroups(goldens.fp8Values("unit_fp8_gemm", "A_fp8"),
                                          goldens.table("unit_fp8_gemm", "a_s")),
                             goldens.fp8Weight("unit_fp8_gemm", "B_fp8", "b_s"),
                             goldens.table("unit_fp8_gemm", "C_ref")));
  cases.push_back(linearCase("unit_fp4_gemm: 32 x 256 -> 128",
                             scaledGroups(goldens.fp8Values("unit_fp4_gemm", "A_fp8"),
                                          goldens.table("unit_fp4_gemm", "a_s")),
                             std::move(goldens.fp4Weights("unit_fp4_gemm", "B_fp4", "b_s").front()),
                             goldens.table("unit_fp4_gemm", "C_ref")));
  cases.push_back(groupedCase(goldens));
  cases.push_back(normCase(goldens, "y_w", true));
  cases.push_back(normCase(goldens, "y_now", false));
  cases.push_back(hyperPreCase(goldens));
  cases.push_back(sinkhornCase(goldens));
  cases.push_back(hyperPostCase(goldens));
  cases.push_back(ropeCase(goldens, "y_fwd", RopeDirection::Forward));
  cases.push_back(ropeCase(goldens, "y_inv", RopeDirection::Inverse));
  cases.push_back(roundKvCase(goldens));
  cases.push_back(roundIndexerCase(goldens));
  for (OperatorCase& chain : unitGoldenChains(goldens)) {
    cases.push_back(std::move(chain));
  }
  return cases;
}

}  // namespace tandem::tests
