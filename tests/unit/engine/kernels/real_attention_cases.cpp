// SPDX-License-Identifier: GPL-3.0-or-later
// Real weights: the attention core, its rotation back and its output projection.
#include <cmath>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <utility>

#include "tests/unit/engine/kernels/attention_golden.h"
#include "tests/unit/engine/kernels/compressor_golden.h"
#include "tests/unit/engine/kernels/real_weights.h"

namespace tandem::tests {

namespace {

using kernels::RopeDirection;

constexpr std::int64_t kDim = 512;
constexpr std::int64_t kRopeDim = 64;
constexpr std::int64_t kWindow = 128;

/// One query at `position` over a window and two compressed entries. `listed` numbers the window's
/// rows as positions and the entries behind them: it must be what the engine attends to.
std::shared_ptr<AttentionInputs> oneQuery(Table q,
                                          Table window,
                                          Table entries,
                                          std::vector<float> sinks,
                                          std::int64_t position,
                                          const std::vector<std::int32_t>& listed) {
  auto inputs = std::make_shared<AttentionInputs>();
  inputs->q = std::move(q);
  inputs->window = std::move(window);
  inputs->windowTokens = kWindow;
  inputs->entries = std::move(entries);
  inputs->sinks = std::move(sinks);
  inputs->entryCount = {static_cast<std::int32_t>(inputs->entries.rows())};
  inputs->positions = {position};
  std::vector<std::int32_t> attended(
      static_cast<std::size_t>(std::min(kWindow, position + 1) + inputs->entries.rows()));
  std::iota(attended.begin(),
            attended.end(),
            static_cast<std::int32_t>(std::max<std::int64_t>(0, position + 1 - kWindow)));
  std::vector<std::int32_t> sorted = listed;
  std::sort(sorted.begin(), sorted.end());
  if (sorted != attended) {
    throw std::runtime_error("a fixture attends to other rows than the engine");
  }
  return inputs;
}

/// Rows of zeros with the rows of `active` at these places.
Table placed(const Table& active, std::int64_t rows, const std::vector<std::int64_t>& at) {
  Table made{std::vector<float>(static_cast<std::size_t>(rows * active.cols)), active.cols};
  for (std::size_t i = 0; i < at.size(); ++i) {
    std::copy_n(active.view().row(static_cast<std::int64_t>(i)),
                active.cols,
                made.view().row(at[i]));
  }
  return made;
}

OperatorCase rotateBack(std::string name, Table rotated, Table answer, std::int64_t position) {
  const auto x = std::make_shared<const Table>(std::move(rotated));
  return bf16Case(OperatorId::Rope,
                  std::move(name),
                  std::move(answer),
                  [=](Operators& operators, std::int64_t first, Matrix<float> out) {
                    copyRows(out, x->middleRows(first, out.rows));
                    operators.rope(
                        out,
                        kDim,
                        std::vector<std::int64_t>(static_cast<std::size_t>(out.rows), position),
                        frequencies(RopeTable::Compressed),
                        RopeDirection::Inverse);
                  });
}

/// Two tokens and two heads of a layer without compression, through the rotation back.
OperatorCase windowOnly(RealWeights& files) {
  const std::string folder = "v5_attn_ratio0_real/";
  const auto inputs = std::make_shared<AttentionInputs>();
  inputs->q = files.bf16(folder + "q-after-rope.bf16.bin", 2 * kDim);
  inputs->window = files.bf16(folder + "kv-after-qat.bf16.bin", kDim);
  inputs->windowTokens = kWindow;
  inputs->sinks = files.floats(folder + "attn-sink-head0-2.f32.bin", 1).values;
  inputs->positions = {0, 1};
  Table answer = files.bf16(folder + "attn-after-inverse-rope.bf16.bin", 2 * kDim);
  // The rotation mixes the errors of a pair, and the golden rounds once more behind it.
  Table bounds = attentionBounds(*inputs, answer);
  for (std::size_t i = 0; i < bounds.values.size(); i += 2) {
    if (static_cast<std::int64_t>(i) % kDim >= kDim - kRopeDim) {
      const double both = static_cast<double>(bounds.values[i]) +
                          static_cast<double>(bounds.values[i + 1]) +
                          kBf16Roundoff * (std::fabs(static_cast<double>(answer.values[i])) +
                                           std::fabs(static_cast<double>(answer.values[i + 1])));
      bounds.values[i] = static_cast<float>(both);
      bounds.values[i + 1] = static_cast<float>(both);
    }
  }
  return goldenCase(
      OperatorId::SparseAttention,
      "v5_attn_ratio0_real: two tokens, rotated back",
      std::move(answer),
      [inputs](Operators& operators, std::int64_t first, Matrix<float> out) {
        inputs->run(operators, first, out);
        operators.rope(
            out,
            kDim,
            std::span(inputs->positions)
                .subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(out.rows)),
            frequencies(RopeTable::Window),
            RopeDirection::Inverse);
      },
      within(std::move(bounds)));
}

/// All heads of one token at position 0, which attends to its own key alone. The fixture lacks the
/// sinks: each is taken from the head's largest channel, and the other 511 must follow.
OperatorCase allHeads(RealWeights& files, const std::string& fixture) {
  const auto inputs = std::make_shared<AttentionInputs>();
  inputs->window = files.bf16(fixture + "/kv-local.bf16.bin", kDim);
  inputs->windowTokens = kWindow;
  inputs->q = files.bf16(fixture + "/q-all64.bf16.bin", 64 * kDim);
  inputs->positions = {0};
  Table answer = files.bf16(fixture + "/attention-heads-all64.bf16.bin", 64 * kDim);
  const float* key = inputs->window.view().row(0);
  const std::int64_t largest =
      std::max_element(key,
                       key + kDim,
                       [](float a, float b) { return std::fabs(a) < std::fabs(b); }) -
      key;
  for (std::int64_t h = 0; h < 64; ++h) {
    double logit = 0;
    for (std::int64_t c = 0; c < kDim; ++c) {
      logit += static_cast<double>(inputs->q.values[static_cast<std::size_t>(h * kDim + c)]) *
               static_cast<double>(key[c]);
    }
    const double share =
        static_cast<double>(answer.values[static_cast<std::size_t>(h * kDim + largest)]) /
        static_cast<double>(key[largest]);
    inputs->sinks.push_back(static_cast<float>(logit / std::sqrt(static_cast<double>(kDim)) +
                                               std::log((1 - share) / share)));
  }
  return attentionGolden(fixture + ": 64 heads at position 0", inputs, std::move(answer));
}

OperatorCase outputProjection(RealWeights& files) {
  const std::string folder = "v5_attn_output_group0_real/";
  const auto weight = std::make_shared<const StoredWeight>(
      files.fp8Weight(folder + "wo-b-rows0-8.fp8.bin", folder + "wo-b-scale-row0.e8m0.bin", 8192));
  const auto latent =
      std::make_shared<Table>(files.bf16(folder + "expected-group-lora.bf16.bin", 8192 / 8));
  // The other seven groups are zero.
  latent->values.resize(8192);
  latent->cols = 8192;
  return bf16Case(OperatorId::Linear,
                  "v5_attn_output_group0_real: wo_b",
                  files.bf16(folder + "expected-out8.bf16.bin", 8),
                  [=](Operators& operators, std::int64_t first, Matrix<float> out) {
                    operators.linear(out,
                                     latent->middleRows(first, out.rows),
                                     weight->view(),
                                     kernels::ActivationRounding::Fp8Groups);
                  });
}

}  // namespace

std::vector<OperatorCase> realAttentionCases(RealWeights& files) {
  std::vector<OperatorCase> cases;
  const std::string history = "v5_attention_history_ratio128_real/";
  cases.push_back(attentionGolden(
      "v5_attention_history_ratio128_real"
      ": window and compressed history",
      oneQuery(files.bf16(history + "q-pos255-head0.bf16.bin", kDim),
               files.bf16(history + "local-kv-0-255.bf16.bin", kDim),
               files.bf16("v5_compressor_ratio128_real/compressed-kv.bf16.bin", kDim),
               files.floats(history + "attn-sink-head0.f32.bin", 1).values,
               255,
               files.integers(history + "topk-row255.i32.bin")),
      files.bf16(history + "expected-attn-row255.bf16.bin", kDim)));

  const std::string coherent = "v5_attention_ratio128_coherent_real/";
  const Table ofCoherent = files.bf16(coherent + "attn-pre-inverse.bf16.bin", kDim);
  cases.push_back(attentionGolden(
      coherent + ": one input throughout",
      oneQuery(files.bf16(coherent + "q-pos255-head0.bf16.bin", kDim),
               placed(files.bf16(coherent + "local-kv-active-0-255.bf16.bin", kDim), 256, {0, 255}),
               files.bf16(coherent + "compressed-kv-coherent.bf16.bin", kDim),
               files.floats(coherent + "attn-sink-head0.f32.bin", 1).values,
               255,
               files.integers(coherent + "topk-row255.i32.bin")),
      ofCoherent));
  cases.push_back(rotateBack(coherent + ": rotated back",
                             ofCoherent,
                             files.bf16(coherent + "attn-post-inverse.bf16.bin", kDim),
                             255));

  const std::string csa = "v5_csa_attention_real/";
  const Table ofCsa = files.bf16(csa + "attn-pre-inverse.bf16.bin", kDim);
  cases.push_back(attentionGolden(
      csa + ": window and chosen entries",
      oneQuery(files.bf16(csa + "q-head0-pos7.bf16.bin", kDim),
               placed(files.bf16(csa + "local-kv-active-3-7.bf16.bin", kDim), 8, {3, 7}),
               files.bf16(csa + "main-comp-kv.bf16.bin", kDim),
               files.floats(csa + "attn-sink-head0.f32.bin", 1).values,
               7,
               files.integers(csa + "combined-topk-row7.i32.bin")),
      ofCsa));
  cases.push_back(rotateBack(csa + ": rotated back",
                             ofCsa,
                             files.bf16(csa + "attn-post-inverse.bf16.bin", kDim),
                             7));
  cases.push_back(windowOnly(files));
  cases.push_back(allHeads(files, "v6_attention_branch_real"));
  cases.push_back(allHeads(files, "v7_layer4_route_real"));
  cases.push_back(outputProjection(files));
  return cases;
}

}  // namespace tandem::tests
