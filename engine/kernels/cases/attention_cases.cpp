// SPDX-License-Identifier: GPL-3.0-or-later
// Cases of the attention core and of the indexer's choice.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "engine/kernels/cases/case_list.h"
#include "engine/kernels/cases/case_values.h"
#include "engine/kernels/cases/known_answers.h"

namespace tandem::kernels {

namespace {

struct Choice {
  std::vector<float> q;
  std::vector<float> headWeights;
  std::vector<float> keys;
  std::vector<std::int32_t> visible;
};

/// Whole numbers, so that equal scores are equal in every order of sums: the rule for ties counts.
OperatorCase makeIndexer(std::uint64_t seed,
                         std::vector<std::int32_t> visible,
                         std::int64_t heads,
                         std::int64_t dim,
                         std::int64_t topk) {
  CaseValues values(seed);
  const auto inputs = std::make_shared<Choice>();
  const auto rows = static_cast<std::int64_t>(visible.size());
  const std::int64_t entries = *std::max_element(visible.begin(), visible.end());
  inputs->q = values.wholeNumbers(rows * heads * dim);
  inputs->headWeights = values.wholeNumbers(rows * heads);
  inputs->keys = values.wholeNumbers(entries * dim);
  inputs->visible = std::move(visible);
  OperatorCase made;
  made.op = OperatorId::IndexerTopK;
  made.name = fmt::format("{} rows, {} of {}, {} heads of {}", rows, topk, entries, heads, dim);
  made.rows = rows;
  made.columns = topk + 1;  // the count is the last column
  made.run = [inputs, heads, dim, topk, entries](Operators& operators,
                                                 std::int64_t first,
                                                 Matrix<float> out) {
    std::vector<std::int32_t> chosen(static_cast<std::size_t>(out.rows * topk), -1);
    std::vector<std::int32_t> count(static_cast<std::size_t>(out.rows));
    operators.indexerTopK(
        {chosen.data(), out.rows, topk},
        count,
        {inputs->q.data() + first * heads * dim, out.rows, heads * dim},
        {inputs->headWeights.data() + first * heads, out.rows, heads},
        floatEntries({inputs->keys.data(), entries, dim}),
        std::span(inputs->visible)
            .subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(out.rows)));
    for (std::int64_t r = 0; r < out.rows; ++r) {
      const std::int32_t used = count[static_cast<std::size_t>(r)];
      for (std::int64_t j = 0; j < topk; ++j) {
        // What lies behind the count has no meaning.
        out.row(r)[j] =
            j < used ? static_cast<float>(chosen[static_cast<std::size_t>(r * topk + j)]) : -1.F;
      }
      out.row(r)[topk] = static_cast<float>(used);
    }
  };
  made.allow = [](Matrix<float> allowed, Matrix<const float> /*expected*/) {
    std::fill_n(allowed.data, allowed.rows * allowed.cols, 0.F);
  };
  return made;
}

struct Attention {
  std::vector<float> q;
  std::vector<float> window;
  std::vector<float> entries;
  std::vector<std::int32_t> chosen;
  std::vector<std::int32_t> entryCount;
  std::vector<std::int64_t> positions;
  std::vector<float> sinks;
};

struct AttentionShape {
  const char* what;
  std::int64_t dim;
  std::int64_t heads;
  std::int64_t windowTokens;
  std::int64_t capacity;  // of the window's ring
  std::int64_t firstPosition;
  std::int64_t rows;
  std::int64_t entries;  // compressed ones there are
  std::int64_t topk;     // 0: every visible one
};

/// The rows that query `r` attends to.
std::vector<const float*> keysOf(const Attention& inputs,
                                 const AttentionShape& shape,
                                 std::int64_t r) {
  std::vector<const float*> keys;
  const std::int64_t position = shape.firstPosition + r;
  for (std::int64_t p = std::max<std::int64_t>(0, position - shape.windowTokens + 1); p <= position;
       ++p) {
    keys.push_back(inputs.window.data() + p % shape.capacity * shape.dim);
  }
  if (shape.entries > 0) {
    for (std::int32_t i = 0; i < inputs.entryCount[static_cast<std::size_t>(r)]; ++i) {
      const std::int32_t entry =
          shape.topk > 0 ? inputs.chosen[static_cast<std::size_t>(r * shape.topk + i)] : i;
      keys.push_back(inputs.entries.data() + entry * shape.dim);
    }
  }
  return keys;
}

/// The error of the worst logit moves every weight, above the line and below it; the sums add
/// theirs. All relative to the mean of the keys' magnitudes.
void allowHead(float* allowed,
               const Attention& inputs,
               const AttentionShape& shape,
               std::int64_t r,
               std::int64_t h) {
  const float* q = inputs.q.data() + (r * shape.heads + h) * shape.dim;
  const double scale = 1 / std::sqrt(static_cast<double>(shape.dim));
  const std::vector<const float*> keys = keysOf(inputs, shape, r);
  double worst = 0;
  double total = std::exp(static_cast<double>(inputs.sinks[static_cast<std::size_t>(h)]));
  std::vector<double> mean(static_cast<std::size_t>(shape.dim));
  for (const float* key : keys) {
    double logit = 0;
    double magnitude = 0;
    for (std::int64_t c = 0; c < shape.dim; ++c) {
      const double term = static_cast<double>(q[c]) * static_cast<double>(key[c]);
      logit += term * scale;
      magnitude += std::fabs(term) * scale;
    }
    worst =
        std::max(worst, sumError(shape.dim) * magnitude + 4 * kFloatRoundoff * std::fabs(logit));
    const double weight = std::exp(logit);
    total += weight;
    for (std::int64_t c = 0; c < shape.dim; ++c) {
      mean[static_cast<std::size_t>(c)] += weight * std::fabs(static_cast<double>(key[c]));
    }
  }
  const double relative =
      2 * (worst + sumError(static_cast<std::int64_t>(keys.size())) + 8 * kFloatRoundoff);
  for (std::int64_t c = 0; c < shape.dim; ++c) {
    allowed[c] = static_cast<float>(relative * mean[static_cast<std::size_t>(c)] / total);
  }
}

OperatorCase makeAttention(std::uint64_t seed, const AttentionShape& shape) {
  CaseValues values(seed);
  const auto inputs = std::make_shared<Attention>();
  inputs->q = values.numbers(shape.rows * shape.heads * shape.dim);
  inputs->window = values.numbers(shape.capacity * shape.dim);
  inputs->entries = values.numbers(shape.entries * shape.dim);
  inputs->sinks = values.numbers(shape.heads);
  for (std::int64_t r = 0; r < shape.rows; ++r) {
    inputs->positions.push_back(shape.firstPosition + r);
    if (shape.topk > 0) {
      // Every third one, from another start in each row.
      for (std::int64_t j = 0; j < shape.topk; ++j) {
        inputs->chosen.push_back(static_cast<std::int32_t>((r + 3 * j) % shape.entries));
      }
      inputs->entryCount.push_back(static_cast<std::int32_t>(shape.topk - r % 2));
    } else {
      inputs->entryCount.push_back(
          static_cast<std::int32_t>(std::min(shape.entries, 1 + r * shape.entries / shape.rows)));
    }
  }
  OperatorCase made;
  made.op = OperatorId::SparseAttention;
  made.name = fmt::format("{}, {} rows, {} heads of {}, window {}, {} entries",
                          shape.what,
                          shape.rows,
                          shape.heads,
                          shape.dim,
                          shape.windowTokens,
                          shape.entries);
  made.rows = shape.rows;
  made.columns = shape.heads * shape.dim;
  made.run = [inputs, shape](Operators& operators, std::int64_t first, Matrix<float> out) {
    const auto from = static_cast<std::size_t>(first);
    const auto count = static_cast<std::size_t>(out.rows);
    AttentionKeys keys;
    keys.window.ring = floatRing({inputs->window.data(), shape.capacity, shape.dim});
    keys.windowTokens = shape.windowTokens;
    keys.entries = floatEntries({inputs->entries.data(), shape.entries, shape.dim});
    if (shape.topk > 0) {
      keys.chosen = {inputs->chosen.data() + first * shape.topk, out.rows, shape.topk};
    }
    keys.entryCount = std::span(inputs->entryCount).subspan(from, count);
    operators.sparseAttention(out,
                              {inputs->q.data() + first * out.cols, out.rows, out.cols},
                              keys,
                              std::span(inputs->positions).subspan(from, count),
                              inputs->sinks);
  };
  made.allow = [inputs, shape](Matrix<float> allowed, Matrix<const float> /*expected*/) {
    for (std::int64_t r = 0; r < allowed.rows; ++r) {
      for (std::int64_t h = 0; h < shape.heads; ++h) {
        allowHead(allowed.row(r) + h * shape.dim, *inputs, shape, r, h);
      }
    }
  };
  return made;
}

}  // namespace

std::vector<OperatorCase> attentionCases() {
  std::vector<OperatorCase> cases;
  cases.push_back(makeIndexer(500, {9, 4, 1}, 3, 8, 4));
  cases.back().name = "known answer, " + cases.back().name;
  cases.back().answer = knownAnswer(OperatorId::IndexerTopK);
  cases.push_back(makeIndexer(501, {1, 0, 64, 65, 129}, 2, 32, 64));
  cases.push_back(makeIndexer(502, {700, 1500}, 8, 128, 512));

  std::uint64_t seed = 510;
  for (const AttentionShape& shape : {
           AttentionShape{"known answer", 6, 2, 4, 8, 5, 2, 5, 2},
           AttentionShape{"first token", 32, 3, 128, 128, 0, 1, 0, 0},
           AttentionShape{"window alone", 64, 2, 16, 24, 10, 9, 0, 0},
           AttentionShape{"every visible entry", 64, 3, 8, 16, 100, 5, 21, 0},
           AttentionShape{"chosen entries", 96, 5, 8, 16, 333, 4, 40, 13},
           AttentionShape{"as in the model", 512, 4, 128, 136, 5000, 3, 600, 512},
       }) {
    cases.push_back(makeAttention(seed++, shape));
  }
  cases[3].answer = knownAnswer(OperatorId::SparseAttention);
  return cases;
}

}  // namespace tandem::kernels
