// SPDX-License-Identifier: GPL-3.0-or-later
// Real weights: hyper-connections around attention and experts, and the head.
#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>

#include "tests/unit/engine/kernels/hyper_golden.h"
#include "tests/unit/engine/kernels/real_weights.h"

namespace tandem::tests {

namespace {

constexpr std::int64_t kHidden = 4096;
constexpr std::int64_t kStreams = 4;
constexpr std::int64_t kMixes = kStreams * kStreams;

HyperRows parameters(RealWeights& files, const std::string& prefix) {
  auto made = std::make_shared<std::vector<HyperParameters>>();
  made->push_back({files.floats(prefix + "fn.f32.bin", kStreams * kHidden),
                   files.floats(prefix + "base.f32.bin", 1).values,
                   files.floats(prefix + "scale.f32.bin", 1).values,
                   20});
  return made;
}

/// Runs hyperPre and, with its mix, hyperPost: x and the new streams beside each other.
void runTransition(Operators& operators,
                   const Table& before,
                   const Table& branch,
                   const HyperParameters& parameters,
                   Matrix<float> out) {
  std::vector<float> post(kStreams);
  std::vector<float> comb(kMixes);
  const kernels::HyperConnectionMix mix{{post.data(), 1, kStreams}, {comb.data(), 1, kMixes}};
  operators.hyperPre({out.data, 1, kHidden}, mix, before.view(), parameters.weights());
  const Matrix<float> mixed(out.data + kHidden, 1, kStreams * kHidden);
  copyRows(mixed, before.view());
  operators.hyperPost(mixed, branch.view(), mix);
}

/// One sub-layer's hyper-connections. With `bitForBit` the outputs rounded to BF16 must be the
/// same; else they are compared before that rounding, because the files were made in float
/// throughout and some sums of theirs lie on a tie.
OperatorCase transition(std::string name,
                        Table before,
                        const HyperRows& weights,
                        Table branch,
                        const Table& collapsed,
                        const Table& after,
                        bool bitForBit = false) {
  const auto streams = std::make_shared<const Table>(std::move(before));
  const auto y = std::make_shared<const Table>(std::move(branch));
  Table answer{collapsed.values, (1 + kStreams) * kHidden};
  answer.values.insert(answer.values.end(), after.values.begin(), after.values.end());
  const RunCase run = [=](Operators& operators, std::int64_t /*first*/, Matrix<float> out) {
    runTransition(operators, *streams, *y, weights->front(), out);
  };
  OperatorCase made = bf16Case(OperatorId::HyperPost, std::move(name), std::move(answer), run);
  if (!bitForBit) {
    // Where terms cancel, what float makes of the terms themselves.
    float largest = 0;
    for (const Table* part : {streams.get(), y.get()}) {
      for (const float value : part->values) {
        largest = std::max(largest, std::fabs(value));
      }
    }
    made.allow =
        relatively(2 * kBf16Roundoff,
                   4 * (kStreams + 3) * kernels::kFloatRoundoff * static_cast<double>(largest));
  }
  return made;
}

/// post and comb in float; `diagnostics` holds mixes [24], pre [4], post [4], comb [16].
OperatorCase mixes(std::string name,
                   Table before,
                   const HyperRows& weights,
                   const std::vector<float>& diagnostics,
                   const Table& collapsed) {
  constexpr std::ptrdiff_t kPost = 24 + kStreams;
  const auto post = diagnostics.begin() + kPost;
  const Table posts{{post, post + kStreams}, kStreams};
  const Table combs{{post + kStreams, post + kStreams + kMixes}, kMixes};
  OperatorCase made = hyperPreGolden(std::move(name),
                                     std::make_shared<const Table>(std::move(before)),
                                     weights,
                                     collapsed,
                                     posts,
                                     combs);
  // The collapsed row is BF16 in the file: here it may be as far off as that rounding.
  made.allow = [inner = made.allow](Matrix<float> allowed, Matrix<const float> expected) {
    inner(allowed, expected);
    for (std::int64_t c = 0; c < kHidden; ++c) {
      allowed.row(0)[c] += static_cast<float>(kBf16Roundoff) * std::fabs(expected.row(0)[c]);
    }
  };
  return made;
}

/// The head's collapse from the golden `pre`: without weights a logit is its base.
OperatorCase headCollapse(RealWeights& files) {
  const std::string folder = "v8_head_primitive_real/";
  const auto streams = std::make_shared<const Table>(
      files.bf16(folder + "input-layer4-final.bf16.bin", kStreams * kHidden));
  const auto head = std::make_shared<HyperParameters>();
  head->fn = {std::vector<float>(kStreams * kStreams * kHidden), kStreams * kHidden};
  head->scale = {1.F};
  for (const float pre : files.floats(folder + "hc-pre.f32.bin", 1).values) {
    const double share = static_cast<double>(pre) - static_cast<double>(kHyperEps);
    head->base.push_back(static_cast<float>(std::log(share / (1 - share))));
  }
  return bf16Case(OperatorId::HyperHead,
                  folder + ": collapse with the golden shares",
                  files.bf16(folder + "hc-head.bf16.bin", kHidden),
                  [=](Operators& operators, std::int64_t first, Matrix<float> out) {
                    operators.hyperHead(out, streams->middleRows(first, out.rows), head->weights());
                  });
}

OperatorCase queryProjection(RealWeights& files) {
  const std::string folder = "v2_wq_a_real/";
  const auto weight =
      std::make_shared<const StoredWeight>(files.fp8Weight(folder + "weight-rows0-8.e4m3.bin",
                                                           folder + "weight-scale-row0.e8m0.bin",
                                                           kHidden));
  const auto x = std::make_shared<const Table>(files.bf16(folder + "input.bf16.bin", kHidden));
  return bf16Case(OperatorId::Linear,
                  folder + ": eight rows of wq_a",
                  files.bf16(folder + "expected.bf16.bin", 8),
                  [=](Operators& operators, std::int64_t first, Matrix<float> out) {
                    operators.linear(out,
                                     x->middleRows(first, out.rows),
                                     weight->view(),
                                     kernels::ActivationRounding::Fp8Groups);
                  });
}

}  // namespace

std::vector<OperatorCase> realBlockCases(RealWeights& files) {
  constexpr std::int64_t kWide = kStreams * kHidden;
  const auto row = [&files](const std::string& path) { return files.bf16(path, kHidden); };
  const auto state = [&files](const std::string& path) { return files.bf16(path, kWide); };
  std::vector<OperatorCase> cases;
  cases.push_back(queryProjection(files));

  const std::string mhc = "v3_mhc_real/";
  const HyperRows layer0 = parameters(files, mhc + "hc_attn_");
  cases.push_back(transition(mhc + ": layer 0 around attention",
                             state(mhc + "residual.bf16.bin"),
                             layer0,
                             row(mhc + "branch.bf16.bin"),
                             row(mhc + "expected-pre.bf16.bin"),
                             state(mhc + "expected-post.bf16.bin"),
                             true));
  cases.push_back(mixes(mhc + ": post and comb of layer 0",
                        state(mhc + "residual.bf16.bin"),
                        layer0,
                        files.floats(mhc + "expected-diagnostics.f32.bin", 1).values,
                        row(mhc + "expected-pre.bf16.bin")));

  const std::string hc = "v6_hc_composition_real/";
  const HyperRows attention3 = parameters(files, hc + "attn-");
  const HyperRows experts3 = parameters(files, hc + "ffn-");
  cases.push_back(transition(hc + ": layer 3 around attention",
                             state(hc + "input-residual.bf16.bin"),
                             attention3,
                             row(hc + "attn-stub-branch.bf16.bin"),
                             row(hc + "attn-pre.bf16.bin"),
                             state(hc + "after-attn-post.bf16.bin")));
  cases.push_back(transition(hc + ": layer 3 around the experts",
                             state(hc + "after-attn-post.bf16.bin"),
                             experts3,
                             row(hc + "ffn-stub-branch.bf16.bin"),
                             row(hc + "ffn-pre.bf16.bin"),
                             state(hc + "expected-final.bf16.bin")));
  const std::vector<float> both = files.floats(hc + "expected-diagnostics.f32.bin", 1).values;
  cases.push_back(mixes(hc + ": post and comb before attention",
                        state(hc + "input-residual.bf16.bin"),
                        attention3,
                        {both.begin(), both.begin() + 48},
                        row(hc + "attn-pre.bf16.bin")));
  cases.push_back(mixes(hc + ": post and comb before the experts",
                        state(hc + "after-attn-post.bf16.bin"),
                        experts3,
                        {both.begin() + 48, both.end()},
                        row(hc + "ffn-pre.bf16.bin")));

  const std::string route = "v7_layer4_route_real/";
  const HyperRows attention4 = parameters(files, route + "attn-");
  const HyperRows experts4 = parameters(files, route + "ffn-");
  cases.push_back(transition(route + ": layer 4 around attention",
                             state(route + "input-layer3-final.bf16.bin"),
                             attention4,
                             row(route + "attention-branch.bf16.bin"),
                             row(route + "attn-pre.bf16.bin"),
                             state(route + "after-attn.bf16.bin")));
  const std::string full = "v7_layer4_full_real/";
  cases.push_back(transition(full + ": layer 4 around the experts",
                             state(route + "after-attn.bf16.bin"),
                             experts4,
                             row(full + "moe-branch.bf16.bin"),
                             row(full + "ffn-pre.bf16.bin"),
                             state(full + "layer4-final.bf16.bin")));
  const std::string moe = "v6_moe_branch_real/";
  cases.push_back(transition(moe + ": layer 3 around the experts",
                             state("v7_two_layer_real/expected/layer3/after_attn.bf16.bin"),
                             experts3,
                             row(moe + "moe-branch.bf16.bin"),
                             row(moe + "ffn-pre.bf16.bin"),
                             state(moe + "expected-layer3-final.bf16.bin")));
  for (const std::string source : {"expected", "runtime"}) {
    for (const int layer : {3, 4}) {
      const std::string at = "v7_two_layer_real/" + source + "/layer" + std::to_string(layer) + "/";
      cases.push_back(transition(at + ": around attention",
                                 state(at + "input.bf16.bin"),
                                 layer == 3 ? attention3 : attention4,
                                 row(at + "attention_branch.bf16.bin"),
                                 row(at + "attn_pre.bf16.bin"),
                                 state(at + "after_attn.bf16.bin")));
      cases.push_back(transition(at + ": around the experts",
                                 state(at + "after_attn.bf16.bin"),
                                 layer == 3 ? experts3 : experts4,
                                 row(at + "moe_branch.bf16.bin"),
                                 row(at + "ffn_pre.bf16.bin"),
                                 state(at + "output.bf16.bin")));
    }
  }
  cases.push_back(headCollapse(files));
  return cases;
}

}  // namespace tandem::tests
