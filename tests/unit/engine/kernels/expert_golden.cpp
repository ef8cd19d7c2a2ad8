// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/unit/engine/kernels/expert_golden.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "engine/kernels/number_formats.h"
#include "engine/kernels/reference/reference_operators.h"

namespace tandem::tests {

namespace {

using kernels::ActivationRounding;
using kernels::kFloatRoundoff;
using kernels::sumError;
using kernels::WeightMatrix;

/// The three matrices of each expert, and their views.
struct ExpertSet {
  std::vector<StoredWeight> gate;
  std::vector<StoredWeight> up;
  std::vector<StoredWeight> down;
  std::vector<WeightMatrix> gateViews;
  std::vector<WeightMatrix> upViews;
  std::vector<WeightMatrix> downViews;

  void makeViews() {
    for (std::size_t e = 0; e < gate.size(); ++e) {
      gateViews.push_back(gate[e].view());
      upViews.push_back(up[e].view());
      downViews.push_back(down[e].view());
    }
  }
  [[nodiscard]] kernels::ExpertWeights weights() const { return {gateViews, upViews, downViews}; }
};

/// Adds how far the down projection of one expert may be off: its inputs are rounded to FP8, which
/// swallows what the first half was off by.
void addExpertBound(std::vector<double>& bound,
                    const Table& x,
                    const ExpertSet& set,
                    std::size_t e,
                    float weight,
                    float limit) {
  kernels::ReferenceOperators reference;
  const std::int64_t width = set.gateViews[e].rows;
  Table gate{std::vector<float>(static_cast<std::size_t>(width)), width};
  Table up = gate;
  reference.linear(gate.view(), x.view(), set.gateViews[e], ActivationRounding::Fp8Groups);
  reference.linear(up.view(), x.view(), set.upViews[e], ActivationRounding::Fp8Groups);
  for (std::size_t i = 0; i < gate.values.size(); ++i) {
    const float g = std::min(gate.values[i], limit);
    gate.values[i] = g / (1.F + std::exp(-g)) * std::clamp(up.values[i], -limit, limit) * weight;
  }
  kernels::roundGroupsToE4m3(gate.values, WeightMatrix::kFp8Block);
  const Table magnitudes = productMagnitudes(gate, set.downViews[e]);
  for (std::size_t c = 0; c < bound.size(); ++c) {
    bound[c] +=
        2 * (sumError(width) + 2 * kFloatRoundoff) * static_cast<double>(magnitudes.values[c]);
  }
}

void runRouter(Operators& operators,
               const RouterInputs& inputs,
               std::int64_t first,
               std::vector<std::int32_t>& picks,
               Table& weights) {
  kernels::RouterWeights router;
  router.gate = inputs.gate.view();
  router.bias = inputs.bias;
  router.scale = inputs.scale;
  if (!inputs.hashTable.empty()) {
    router.hashTable = {inputs.hashTable.data(),
                        static_cast<std::int64_t>(inputs.hashTable.size()) / inputs.picked,
                        inputs.picked};
  }
  const std::int64_t rows = weights.rows();
  operators.route({picks.data(), rows, inputs.picked},
                  weights.view(),
                  inputs.x.middleRows(first, rows),
                  std::span(inputs.tokens)
                      .subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(rows)),
                  router);
}

}  // namespace

Table sortedPicks(const std::vector<std::int32_t>& picks, const Table& weights) {
  const auto picked = static_cast<std::size_t>(weights.cols);
  Table made{{}, 2 * weights.cols};
  for (std::size_t begin = 0; begin < picks.size(); begin += picked) {
    std::vector<std::size_t> order(picked);
    std::iota(order.begin(), order.end(), begin);
    std::sort(order.begin(), order.end(), [&picks](std::size_t a, std::size_t b) {
      return picks[a] < picks[b];
    });
    for (const std::size_t at : order) {
      made.values.push_back(static_cast<float>(picks[at]));
    }
    for (const std::size_t at : order) {
      made.values.push_back(weights.values[at]);
    }
  }
  return made;
}

OperatorCase routerGolden(std::string name,
                          const std::shared_ptr<const RouterInputs>& inputs,
                          const Table& answer) {
  const Table magnitudes = productMagnitudes(inputs->x, inputs->gate.view());
  Table bounds{{}, answer.cols};
  for (std::int64_t r = 0; r < answer.rows(); ++r) {
    const std::span<const float> row = magnitudes.view().rowSpan(r);
    // sqrt(softplus) moves by at most half of what its logit moves, relatively; the division by
    // the sum doubles that. Then exponential, logarithm, root, sum, quotient and product.
    const double logit = 2 * sumError(inputs->gate.cols) *
                         static_cast<double>(*std::max_element(row.begin(), row.end()));
    const double relative = logit + 2 * 16 * kFloatRoundoff;
    for (std::int64_t j = 0; j < inputs->picked; ++j) {
      bounds.values.push_back(0.F);
    }
    for (std::int64_t j = inputs->picked; j < answer.cols; ++j) {
      bounds.values.push_back(
          static_cast<float>(relative * static_cast<double>(answer.view().row(r)[j])));
    }
  }
  return goldenCase(
      OperatorId::Route,
      std::move(name),
      answer,
      [inputs](Operators& operators, std::int64_t first, Matrix<float> out) {
        const auto size = static_cast<std::size_t>(out.rows * inputs->picked);
        std::vector<std::int32_t> picks(size);
        Table weights{std::vector<float>(size), inputs->picked};
        runRouter(operators, *inputs, first, picks, weights);
        const Table sorted = sortedPicks(picks, weights);
        copyRows(out, sorted.view());
      },
      within(std::move(bounds)));
}

OperatorCase unitRouterCase(UnitGoldens& goldens) {
  const std::string file = "unit_router";
  const std::vector<std::int32_t> dims = goldens.integers(file, "dims");
  const auto inputs = std::make_shared<RouterInputs>();
  inputs->x = goldens.table(file, "x");
  inputs->gate = floatWeight(goldens.table(file, "gate_w").values, dims[1]);
  inputs->bias = goldens.table(file, "bias").values;
  inputs->scale = goldens.table(file, "route_scale").values.front();
  inputs->picked = dims[3];
  inputs->tokens.resize(static_cast<std::size_t>(dims[0]));
  const Table answer =
      sortedPicks(goldens.integers(file, "indices_ref"), goldens.table(file, "weights_ref"));
  return routerGolden(file + ": learned", inputs, answer);
}

OperatorCase unitMoeCase(UnitGoldens& goldens) {
  const std::string file = "unit_moe";
  const std::vector<std::int32_t> dims = goldens.integers(file, "dims");
  const auto router = std::make_shared<RouterInputs>();
  router->x = goldens.table(file, "x");
  router->gate = floatWeight(goldens.table(file, "gate_w").values, dims[1]);
  router->bias = goldens.table(file, "bias").values;
  router->scale = goldens.table(file, "rs").values.front();
  router->picked = dims[4];
  router->tokens.resize(static_cast<std::size_t>(dims[0]));
  const float limit = goldens.table(file, "lim").values.front();
  const auto routed = std::make_shared<ExpertSet>();
  routed->gate = goldens.fp4Weights(file, "w1", "w1s");
  routed->up = goldens.fp4Weights(file, "w3", "w3s");
  routed->down = goldens.fp4Weights(file, "w2", "w2s");
  routed->makeViews();
  const auto shared = std::make_shared<ExpertSet>();
  shared->gate.push_back(goldens.fp8Weight(file, "sw1", "sw1s"));
  shared->up.push_back(goldens.fp8Weight(file, "sw3", "sw3s"));
  shared->down.push_back(goldens.fp8Weight(file, "sw2", "sw2s"));
  shared->makeViews();

  Table answer = goldens.table(file, "y_ref");
  Table bounds{{}, answer.cols};
  kernels::ReferenceOperators reference;
  std::vector<std::int32_t> picks(static_cast<std::size_t>(dims[0] * dims[4]));
  Table weights{std::vector<float>(picks.size()), dims[4]};
  runRouter(reference, *router, 0, picks, weights);
  for (std::int64_t r = 0; r < answer.rows(); ++r) {
    const std::span<const float> row = router->x.view().rowSpan(r);
    const Table x{{row.begin(), row.end()}, answer.cols};
    std::vector<double> bound(static_cast<std::size_t>(answer.cols));
    addExpertBound(bound, x, *shared, 0, 1.F, limit);
    for (std::int64_t j = 0; j < router->picked; ++j) {
      const auto at = static_cast<std::size_t>(r * router->picked + j);
      addExpertBound(bound,
                     x,
                     *routed,
                     static_cast<std::size_t>(picks[at]),
                     weights.values[at],
                     limit);
    }
    bounds.values.insert(bounds.values.end(), bound.begin(), bound.end());
  }
  return goldenCase(
      OperatorId::Experts,
      file + ": router, routed and shared experts",
      std::move(answer),
      [=](Operators& operators, std::int64_t first, Matrix<float> out) {
        const auto rows = static_cast<std::size_t>(out.rows);
        std::vector<std::int32_t> chosen(rows * static_cast<std::size_t>(router->picked));
        Table shares{std::vector<float>(chosen.size()), router->picked};
        runRouter(operators, *router, first, chosen, shares);
        const std::vector<std::int32_t> everyRow(rows, 0);
        const std::vector<float> whole(rows, 1.F);
        const Matrix<const float> x = router->x.middleRows(first, out.rows);
        for (std::int64_t r = 0; r < out.rows; ++r) {
          std::fill_n(out.row(r), out.cols, 0.F);
        }
        operators.experts(out,
                          x,
                          {everyRow.data(), out.rows, 1},
                          {whole.data(), out.rows, 1},
                          shared->weights(),
                          limit,
                          ActivationRounding::Fp8Groups);
        operators.experts(out,
                          x,
                          {chosen.data(), out.rows, router->picked},
                          shares.view(),
                          routed->weights(),
                          limit,
                          ActivationRounding::Fp8Groups);
      },
      within(std::move(bounds)));
}

}  // namespace tandem::tests
