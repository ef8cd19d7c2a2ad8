// SPDX-License-Identifier: GPL-3.0-or-later
// Cases of the router and of the routed experts.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "engine/kernels/cases/case_list.h"
#include "engine/kernels/cases/case_values.h"
#include "engine/kernels/cases/known_answers.h"
#include "engine/kernels/number_formats.h"

namespace tandem::kernels {

namespace {

constexpr TokenId kVocab = 11;

struct Routing {
  CaseWeight gate;
  std::vector<float> bias;
  std::vector<std::int32_t> table;
  std::vector<float> x;
  std::vector<TokenId> tokens;
};

OperatorCase makeRouter(std::uint64_t seed,
                        const char* what,
                        std::int64_t rows,
                        std::int64_t dim,
                        std::int64_t experts,
                        std::int64_t picks,
                        bool hashed) {
  constexpr float kScale = 1.5F;
  CaseValues values(seed);
  const auto inputs = std::make_shared<Routing>();
  inputs->gate = makeCaseWeight(values, WeightFormat::Bf16, experts, dim);
  inputs->x = values.numbers(rows * dim);
  for (float& value : inputs->x) {
    value /= 16.F;
  }
  if (hashed) {
    for (TokenId token = 0; token < kVocab; ++token) {
      for (std::int64_t j = 0; j < picks; ++j) {
        inputs->table.push_back(static_cast<std::int32_t>((5 * token + 3 * j) % experts));
      }
    }
  } else {
    inputs->bias = values.numbers(experts);
  }
  for (std::int64_t r = 0; r < rows; ++r) {
    inputs->tokens.push_back(static_cast<TokenId>(7 * r % kVocab));
  }
  OperatorCase made;
  made.op = OperatorId::Route;
  made.name =
      fmt::format("{}, {} rows, {} of {} experts: picks, weights", what, rows, picks, experts);
  made.rows = rows;
  made.columns = 2 * picks;
  made.run = [inputs, dim, picks](Operators& operators, std::int64_t first, Matrix<float> out) {
    std::vector<std::int32_t> chosen(static_cast<std::size_t>(out.rows * picks), -1);
    RouterWeights router;
    router.gate = inputs->gate.view;
    router.bias = inputs->bias;
    if (!inputs->table.empty()) {
      router.hashTable = {inputs->table.data(), kVocab, picks};
    }
    router.scale = kScale;
    operators.route(
        {chosen.data(), out.rows, picks},
        {out.data + picks, out.rows, picks, out.stride},
        {inputs->x.data() + first * dim, out.rows, dim},
        std::span(inputs->tokens)
            .subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(out.rows)),
        router);
    for (std::int64_t r = 0; r < out.rows; ++r) {
      for (std::int64_t j = 0; j < picks; ++j) {
        out.row(r)[j] = static_cast<float>(chosen[static_cast<std::size_t>(r * picks + j)]);
      }
    }
  };
  made.allow = [inputs, dim, picks](Matrix<float> allowed, Matrix<const float> expected) {
    // A score's relative error is at most half its logit's error, and a weight is a quotient of two
    // such. The logits' bound: `dim` products with a gate of at most 2.
    constexpr double kLargest = 2.0;
    for (std::int64_t r = 0; r < allowed.rows; ++r) {
      double magnitude = 0;
      for (std::int64_t k = 0; k < dim; ++k) {
        magnitude +=
            std::fabs(static_cast<double>(inputs->x[static_cast<std::size_t>(r * dim + k)]));
      }
      const double relative =
          kFloatRoundoff *
          (static_cast<double>(dim + 2) * magnitude * kLargest + static_cast<double>(picks) + 14);
      for (std::int64_t j = 0; j < picks; ++j) {
        allowed.row(r)[j] = 0;
        allowed.row(r)[picks + j] =
            static_cast<float>(relative * static_cast<double>(expected.row(r)[picks + j]));
      }
    }
  };
  return made;
}

struct Experts {
  std::vector<CaseWeight> owned;
  std::vector<WeightMatrix> gate;
  std::vector<WeightMatrix> up;
  std::vector<WeightMatrix> down;
  std::vector<float> x;
  std::vector<float> before;  // `out` as it is added to
  std::vector<std::int32_t> picks;
  std::vector<float> weights;
  std::int64_t dim = 0;
  std::int64_t width = 0;
  std::int64_t picked = 0;
  float limit = 0;
  ActivationRounding rounding = ActivationRounding::None;
};

std::vector<float> roundedRow(const float* x, std::int64_t count, const Experts& inputs) {
  std::vector<float> row(x, x + count);
  if (inputs.rounding == ActivationRounding::Fp8Groups && inputs.gate.front().isQuantised()) {
    roundGroupsToE4m3(row, WeightMatrix::kFp8Block);
  }
  return row;
}

/// Σ |x_k * w_k| and the value of one output of a linear operator.
struct Product {
  double value = 0;
  double magnitude = 0;
};
Product product(const std::vector<float>& x, const float* weight) {
  Product made;
  for (std::size_t k = 0; k < x.size(); ++k) {
    const double term = static_cast<double>(x[k]) * static_cast<double>(weight[k]);
    made.value += term;
    made.magnitude += std::fabs(term);
  }
  return made;
}

/// The error of each element of the hidden row, carried through w2.
void allowExperts(const Experts& inputs, Matrix<float> allowed) {
  constexpr double kSiluSlope = 1.1;
  const auto limit = static_cast<double>(inputs.limit);
  std::vector<float> hidden(static_cast<std::size_t>(inputs.width));
  std::vector<double> error(hidden.size());
  for (std::int64_t r = 0; r < allowed.rows; ++r) {
    std::vector<double> bound(static_cast<std::size_t>(inputs.dim));
    for (std::int64_t c = 0; c < inputs.dim; ++c) {
      bound[static_cast<std::size_t>(c)] =
          kFloatRoundoff * static_cast<double>(inputs.picked) *
          std::fabs(
              static_cast<double>(inputs.before[static_cast<std::size_t>(r * inputs.dim + c)]));
    }
    const std::vector<float> x = roundedRow(inputs.x.data() + r * inputs.dim, inputs.dim, inputs);
    for (std::int64_t j = 0; j < inputs.picked; ++j) {
      const auto at = static_cast<std::size_t>(r * inputs.picked + j);
      const auto e = static_cast<std::size_t>(inputs.picks[at]);
      const auto weight = std::fabs(static_cast<double>(inputs.weights[at]));
      const std::vector<float> gate = expandAll(inputs.gate[e]);
      const std::vector<float> up = expandAll(inputs.up[e]);
      const std::vector<float> down = expandAll(inputs.down[e]);
      for (std::size_t i = 0; i < hidden.size(); ++i) {
        const auto offset = static_cast<std::size_t>(inputs.dim) * i;
        const Product g = product(x, gate.data() + offset);
        const Product u = product(x, up.data() + offset);
        const double clippedGate = std::min(g.value, limit);
        const double clippedUp = std::clamp(u.value, -limit, limit);
        const double silu = clippedGate / (1 + std::exp(-clippedGate));
        hidden[i] = static_cast<float>(silu * clippedUp * static_cast<double>(inputs.weights[at]));
        // What is surely cut off at the limit has no error left.
        const double gateError = sumError(inputs.dim) * g.magnitude;
        const double upError = sumError(inputs.dim) * u.magnitude;
        error[i] =
            weight *
            ((g.value > limit + gateError ? 0 : kSiluSlope * gateError) * std::fabs(clippedUp) +
             (std::fabs(u.value) > limit + upError ? 0 : upError) * std::fabs(silu) +
             (8 + std::fabs(clippedGate)) * kFloatRoundoff * std::fabs(silu * clippedUp));
      }
      std::vector<float> centre = hidden;
      if (inputs.rounding == ActivationRounding::Fp8Groups) {
        // An error may carry a value over the middle between two FP8 codes.
        const std::vector<float> rounded = roundedRow(hidden.data(), inputs.width, inputs);
        for (std::size_t i = 0; i < hidden.size(); ++i) {
          double moved = 0;
          for (const double sign : {-1.0, 1.0}) {
            std::vector<float> shifted = hidden;
            shifted[i] = static_cast<float>(static_cast<double>(hidden[i]) + sign * error[i]);
            const float other = roundedRow(shifted.data(), inputs.width, inputs)[i];
            moved =
                std::max(moved,
                         std::fabs(static_cast<double>(other) - static_cast<double>(rounded[i])));
          }
          error[i] = moved;
        }
        centre = rounded;
      }
      for (std::int64_t c = 0; c < inputs.dim; ++c) {
        const float* row = down.data() + c * inputs.width;
        const Product y = product(centre, row);
        double carried = 0;
        for (std::size_t i = 0; i < hidden.size(); ++i) {
          carried += error[i] * std::fabs(static_cast<double>(row[i]));
        }
        bound[static_cast<std::size_t>(c)] +=
            carried + sumError(inputs.width + inputs.picked) * y.magnitude;
      }
    }
    for (std::int64_t c = 0; c < inputs.dim; ++c) {
      allowed.row(r)[c] = static_cast<float>(bound[static_cast<std::size_t>(c)]);
    }
  }
}

struct ExpertShape {
  const char* what = "";
  WeightFormat format = WeightFormat::Fp8Block;
  std::int64_t rows = 0;
  std::int64_t dim = 0;
  std::int64_t width = 0;
  std::int64_t experts = 0;
  std::int64_t picked = 0;
  ActivationRounding rounding = ActivationRounding::None;
  float inputScale = 1;  // keeps gate and up near the limit, on both sides of it
};

OperatorCase makeExperts(std::uint64_t seed, const ExpertShape& shape) {
  CaseValues values(seed);
  const auto inputs = std::make_shared<Experts>();
  inputs->dim = shape.dim;
  inputs->width = shape.width;
  inputs->picked = shape.picked;
  inputs->rounding = shape.rounding;
  // Small enough that some values of every case are cut off.
  inputs->limit = 7.F;
  for (std::int64_t e = 0; e < shape.experts; ++e) {
    for (auto* list : {&inputs->gate, &inputs->up, &inputs->down}) {
      const bool isDown = list == &inputs->down;
      inputs->owned.push_back(makeCaseWeight(values,
                                             shape.format,
                                             isDown ? shape.dim : shape.width,
                                             isDown ? shape.width : shape.dim));
      list->push_back(inputs->owned.back().view);
    }
  }
  inputs->x = values.numbers(shape.rows * shape.dim);
  for (float& value : inputs->x) {
    value *= shape.inputScale;
  }
  inputs->before = values.numbers(shape.rows * shape.dim);
  inputs->weights = values.numbers(shape.rows * shape.picked);
  for (std::int64_t r = 0; r < shape.rows; ++r) {
    for (std::int64_t j = 0; j < shape.picked; ++j) {
      // Descending, so that the order of sums is not the order of picks.
      inputs->picks.push_back(
          static_cast<std::int32_t>((2 * r + shape.experts - 1 - j) % shape.experts));
    }
  }
  OperatorCase made;
  made.op = OperatorId::Experts;
  made.name = fmt::format("{}, {} x {} x {}, {} of {}",
                          shape.what,
                          shape.rows,
                          shape.dim,
                          shape.width,
                          shape.picked,
                          shape.experts);
  made.rows = shape.rows;
  made.columns = shape.dim;
  made.run = [inputs](Operators& operators, std::int64_t first, Matrix<float> out) {
    std::copy_n(inputs->before.data() + first * out.cols, out.rows * out.cols, out.data);
    operators.experts(out,
                      {inputs->x.data() + first * out.cols, out.rows, out.cols},
                      {inputs->picks.data() + first * inputs->picked, out.rows, inputs->picked},
                      {inputs->weights.data() + first * inputs->picked, out.rows, inputs->picked},
                      {inputs->gate, inputs->up, inputs->down},
                      inputs->limit,
                      inputs->rounding);
  };
  made.allow = [inputs](Matrix<float> allowed, Matrix<const float> /*expected*/) {
    allowExperts(*inputs, allowed);
  };
  return made;
}

}  // namespace

std::vector<OperatorCase> expertCases() {
  std::vector<OperatorCase> cases;
  cases.push_back(makeRouter(600, "known answer, learned", 3, 12, 7, 3, false));
  cases.back().answer = knownAnswer(OperatorId::Route);
  cases.push_back(makeRouter(601, "by token", 4, 33, 9, 2, true));
  cases.push_back(makeRouter(602, "learned, as in the model", 3, 512, 256, 6, false));

  std::uint64_t seed = 610;
  for (const ExpertShape& shape : {
           ExpertShape{"known answer, fp4", WeightFormat::Mxfp4, 2, 32, 32, 3, 2},
           ExpertShape{"fp4", WeightFormat::Mxfp4, 5, 96, 64, 8, 3},
           ExpertShape{"fp4, rounded",
                       WeightFormat::Mxfp4,
                       3,
                       128,
                       128,
                       4,
                       2,
                       ActivationRounding::Fp8Groups},
           ExpertShape{"fp8, one shared expert",
                       WeightFormat::Fp8Block,
                       3,
                       160,
                       72,
                       1,
                       1,
                       ActivationRounding::None,
                       1.F / 64},
           ExpertShape{"bf16", WeightFormat::Bf16, 2, 40, 24, 5, 4},
       }) {
    cases.push_back(makeExperts(seed++, shape));
  }
  cases[3].answer = knownAnswer(OperatorId::Experts);
  return cases;
}

}  // namespace tandem::kernels
