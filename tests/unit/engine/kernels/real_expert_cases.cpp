// SPDX-License-Identifier: GPL-3.0-or-later
// Real weights: routers, the halves of an expert that fit beside the repository, and their sums.
#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>

#include "engine/kernels/number_formats.h"
#include "tests/unit/engine/kernels/expert_golden.h"
#include "tests/unit/engine/kernels/real_weights.h"

namespace tandem::tests {

namespace {

using kernels::ActivationRounding;
using kernels::kFloatRoundoff;

constexpr std::int64_t kHidden = 4096;
constexpr std::int64_t kPicked = 6;
constexpr float kLimit = 10.F;

OperatorCase learned(RealWeights& files,
                     const std::string& name,
                     const std::string& x,
                     int layer,
                     const std::string& ids,
                     const std::string& weights) {
  const std::string gate =
      layer == 3 ? "v3_router_real/layer3-gate-" : "v7_layer4_route_real/gate-";
  const auto inputs = std::make_shared<RouterInputs>();
  inputs->x = files.bf16(x, kHidden);
  inputs->gate = files.bf16Weight(gate + "weight.bf16.bin", kHidden);
  inputs->bias = files.floats(gate + "bias.f32.bin", 1).values;
  inputs->scale = 1.5F;
  inputs->picked = kPicked;
  inputs->tokens = {0};
  return routerGolden(name,
                      inputs,
                      sortedPicks(files.integers(ids), files.floats(weights, kPicked)));
}

OperatorCase hashed(RealWeights& files) {
  const std::string folder = "v3_router_real/";
  const auto inputs = std::make_shared<RouterInputs>();
  inputs->x = files.bf16(folder + "input.bf16.bin", kHidden);
  inputs->gate = files.bf16Weight(folder + "layer0-gate-weight.bf16.bin", kHidden);
  // The row of one token: here it is token 0.
  for (const std::int64_t id : files.longs(folder + "layer0-tid2eid-token4242.i64.bin")) {
    inputs->hashTable.push_back(static_cast<std::int32_t>(id));
  }
  inputs->scale = 1.5F;
  inputs->picked = kPicked;
  inputs->tokens = {0};
  return routerGolden(folder + ": by token, layer 0",
                      inputs,
                      sortedPicks(files.integers(folder + "hash-ids.u32.bin"),
                                  files.floats(folder + "hash-weights.f32.bin", kPicked)));
}

/// SwiGLU of stored gate and up values. Their projections are too large to lie here, so the experts
/// have projections that pick them out: 256 of them a row, down projection the identity.
OperatorCase swiglu(std::string name,
                    const Table& gate,
                    const Table& up,
                    float weight,
                    Table hidden) {
  constexpr std::int64_t kWidth = 256;
  const auto x = std::make_shared<Table>();
  x->cols = 2 * kWidth;
  for (std::size_t begin = 0; begin < gate.values.size(); begin += kWidth) {
    for (const Table* half : {&gate, &up}) {
      const auto first = half->values.begin() + static_cast<std::ptrdiff_t>(begin);
      x->values.insert(x->values.end(), first, first + kWidth);
    }
  }
  hidden.cols = kWidth;
  std::vector<float> first(2 * kWidth * kWidth);
  std::vector<float> second(first.size());
  std::vector<float> identity(kWidth * kWidth);
  for (std::size_t i = 0; i < kWidth; ++i) {
    first[i * 2 * kWidth + i] = 1;
    second[i * 2 * kWidth + kWidth + i] = 1;
    identity[i * kWidth + i] = 1;
  }
  const auto stored = std::make_shared<const std::vector<StoredWeight>>(
      std::vector<StoredWeight>{floatWeight(first, 2 * kWidth),
                                floatWeight(second, 2 * kWidth),
                                floatWeight(identity, kWidth)});
  return goldenCase(
      OperatorId::Experts,
      std::move(name),
      std::move(hidden),
      [=](Operators& operators, std::int64_t row, Matrix<float> out) {
        const std::vector<kernels::WeightMatrix> views{(*stored)[0].view(),
                                                       (*stored)[1].view(),
                                                       (*stored)[2].view()};
        const std::span<const kernels::WeightMatrix> all(views);
        const std::vector<std::int32_t> picks(static_cast<std::size_t>(out.rows), 0);
        const std::vector<float> weights(picks.size(), weight);
        for (std::int64_t r = 0; r < out.rows; ++r) {
          std::fill_n(out.row(r), out.cols, 0.F);
        }
        // Down takes as many channels as the expert is wide, out has as many as the golden.
        operators.experts(out,
                          x->middleRows(row, out.rows),
                          {picks.data(), out.rows, 1},
                          {weights.data(), out.rows, 1},
                          {all.subspan(0, 1), all.subspan(1, 1), all.subspan(2, 1)},
                          kLimit,
                          ActivationRounding::Fp8Groups);
      },
      // The golden is BF16: half a step of it, and the float arithmetic of both sides.
      relatively(kBf16Roundoff + 16 * kFloatRoundoff));
}

OperatorCase down(std::string name, StoredWeight weight, Table hidden, Table answer) {
  const auto x = std::make_shared<const Table>(std::move(hidden));
  const auto stored = std::make_shared<const StoredWeight>(std::move(weight));
  return bf16Case(OperatorId::Linear,
                  std::move(name),
                  std::move(answer),
                  [=](Operators& operators, std::int64_t first, Matrix<float> out) {
                    operators.linear(out,
                                     x->middleRows(first, out.rows),
                                     stored->view(),
                                     ActivationRounding::Fp8Groups);
                  });
}

/// What the experts gave, summed: experts of width 1 whose one hidden value is 1.
OperatorCase sum(std::string name, const Table& routed, const Table& shared, Table answer) {
  constexpr float kGate = 8.F;
  const auto columns = std::make_shared<std::vector<StoredWeight>>();
  for (std::int64_t e = 0; e < routed.rows(); ++e) {
    const std::span<const float> row = routed.view().rowSpan(e);
    columns->push_back(floatWeight({row.begin(), row.end()}, 1));
  }
  columns->push_back(floatWeight(shared.values, 1));
  const auto gate = std::make_shared<const StoredWeight>(floatWeight({1.F, 0.F}, 2));
  const auto up = std::make_shared<const StoredWeight>(floatWeight({0.F, 1.F}, 2));
  Table bounds{{}, answer.cols};
  for (std::int64_t c = 0; c < answer.cols; ++c) {
    double magnitude = std::fabs(static_cast<double>(shared.values[static_cast<std::size_t>(c)]));
    for (std::int64_t e = 0; e < routed.rows(); ++e) {
      magnitude += std::fabs(static_cast<double>(routed.view().row(e)[c]));
    }
    bounds.values.push_back(static_cast<float>(
        kBf16Roundoff * std::fabs(static_cast<double>(answer.values[static_cast<std::size_t>(c)])) +
        24 * kFloatRoundoff * magnitude));
  }
  return goldenCase(
      OperatorId::Experts,
      std::move(name),
      std::move(answer),
      [=](Operators& operators, std::int64_t /*first*/, Matrix<float> out) {
        const std::size_t count = columns->size();
        const std::vector<kernels::WeightMatrix> gates(count, gate->view());
        const std::vector<kernels::WeightMatrix> ups(count, up->view());
        std::vector<kernels::WeightMatrix> downs;
        std::vector<std::int32_t> picks;
        for (const StoredWeight& column : *columns) {
          picks.push_back(static_cast<std::int32_t>(downs.size()));
          downs.push_back(column.view());
        }
        const std::vector<float> x{kGate, 1.F};
        const float silu = kGate / (1.F + std::exp(-kGate));
        const std::vector<float> weights(count, 1.F / silu);
        std::fill_n(out.data, out.cols, 0.F);
        operators.experts(out,
                          {x.data(), 1, 2},
                          {picks.data(), 1, static_cast<std::int64_t>(count)},
                          {weights.data(), 1, static_cast<std::int64_t>(count)},
                          {gates, ups, downs},
                          kLimit,
                          ActivationRounding::None);
      },
      within(std::move(bounds)));
}

}  // namespace

std::vector<OperatorCase> realExpertCases(RealWeights& files) {
  std::vector<OperatorCase> cases;
  const std::string router = "v3_router_real/";
  cases.push_back(hashed(files));
  cases.push_back(learned(files,
                          router + ": learned, layer 3",
                          router + "input.bf16.bin",
                          3,
                          router + "learned-ids.u32.bin",
                          router + "learned-weights.f32.bin"));
  const std::string moe3 = "v6_moe_branch_real/";
  cases.push_back(learned(files,
                          moe3 + ": router of layer 3",
                          moe3 + "ffn-pre.bf16.bin",
                          3,
                          moe3 + "routed-ids.u32.bin",
                          moe3 + "routed-weights.f32.bin"));
  const std::string route4 = "v7_layer4_route_real/";
  const std::string moe4 = "v7_layer4_full_real/";
  for (const std::string& folder : {route4, moe4}) {
    cases.push_back(learned(files,
                            folder + ": router of layer 4",
                            folder + "ffn-pre.bf16.bin",
                            4,
                            folder + "router-ids.u32.bin",
                            folder + "router-weights.f32.bin"));
  }
  for (const std::string source : {"expected", "runtime"}) {
    for (const int layer : {3, 4}) {
      const std::string at = "v7_two_layer_real/" + source + "/layer" + std::to_string(layer) + "/";
      cases.push_back(learned(files,
                              at + ": router",
                              at + "ffn_pre.bf16.bin",
                              layer,
                              at + "router_ids.u32.bin",
                              at + "router_weights.f32.bin"));
    }
  }

  const std::string one = "v4_routed_expert_real/";
  const float weight = files.floats(router + "learned-weights.f32.bin", 1).values.front();
  cases.push_back(swiglu(one + ": SwiGLU and routing weight",
                         files.floats(one + "gate-clamped.f32.bin", 2048),
                         files.floats(one + "up-clamped.f32.bin", 2048),
                         weight,
                         files.bf16(one + "hidden-after-route.bf16.bin", 2048)));
  cases.push_back(
      down(one + ": eight rows of w2",
           files.fp4Weight(one + "w2-rows0-8.fp4.bin", one + "w2-scale-rows0-8.e8m0.bin", 2048),
           files.bf16(one + "hidden-after-route.bf16.bin", 2048),
           files.bf16(one + "expected-out8.bf16.bin", 8)));
  const std::string all = "v4_moe_real/";
  cases.push_back(swiglu(all + ": SwiGLU of the shared expert",
                         files.floats(all + "shared-gate-clamped.f32.bin", 2048),
                         files.floats(all + "shared-up-clamped.f32.bin", 2048),
                         1.F,
                         files.bf16(all + "shared-hidden.bf16.bin", 2048)));
  cases.push_back(down(all + ": eight rows of the shared w2",
                       files.fp8Weight(all + "shared-w2-rows0-8.fp8.bin",
                                       all + "shared-w2-scale-row0.e8m0.bin",
                                       2048),
                       files.bf16(all + "shared-hidden.bf16.bin", 2048),
                       files.bf16(all + "shared-out8.bf16.bin", 8)));
  cases.push_back(sum(all + ": six routed experts and the shared one",
                      files.bf16(all + "routed-out8.bf16.bin", 8),
                      files.bf16(all + "shared-out8.bf16.bin", 8),
                      files.bf16(all + "combined-out8.bf16.bin", 8)));
  for (const std::string& folder : {moe3, moe4}) {
    cases.push_back(sum(folder + ": six routed experts and the shared one",
                        files.bf16(folder + "routed-out-all6.bf16.bin", kHidden),
                        files.bf16(folder + "shared-out.bf16.bin", kHidden),
                        files.bf16(folder + "moe-branch.bf16.bin", kHidden)));
  }
  return cases;
}

}  // namespace tandem::tests
