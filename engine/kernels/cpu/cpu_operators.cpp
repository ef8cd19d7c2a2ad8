// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/kernels/cpu/cpu_operators.h"

#include <algorithm>
#include <cmath>

#include "engine/kernels/cpu/vector_math.h"
#include "engine/kernels/entry_codec.h"
#include "engine/kernels/number_formats.h"
#include "engine/kernels/top_k.h"

namespace tandem::kernels {

namespace {

/// A view of scratch memory that grows when it must.
Matrix<float> scratch(std::vector<float>& memory, std::int64_t rows, std::int64_t cols) {
  memory.resize(std::max(memory.size(), static_cast<std::size_t>(rows * cols)));
  return {memory.data(), rows, cols};
}

/// out[k] = x · row k of the panel. `count` rows of `cols`, at most four.
void multiplyPanel(float* out,
                   const float* x,
                   const float* panel,
                   std::int64_t count,
                   std::int64_t cols) {
  if (count == 4) {
    dotProducts4(out, x, {panel, panel + cols, panel + 2 * cols, panel + 3 * cols}, cols);
    return;
  }
  for (std::int64_t k = 0; k < count; ++k) {
    out[k] = dotProduct(x, panel + k * cols, cols);
  }
}

FourRows fourFrom(const std::vector<const float*>& rows, std::size_t first) {
  return {rows[first], rows[first + 1], rows[first + 2], rows[first + 3]};
}

/// out[s] = x · rows[s]
void multiplyRows(std::vector<float>& out,
                  const float* x,
                  const std::vector<const float*>& rows,
                  std::int64_t dim) {
  std::size_t s = 0;
  for (; s + 4 <= rows.size(); s += 4) {
    dotProducts4(&out[s], x, fourFrom(rows, s), dim);
  }
  for (; s < rows.size(); ++s) {
    out[s] = dotProduct(x, rows[s], dim);
  }
}

/// out += Σ_s factors[s] * rows[s], in order of s.
void addRows(float* out,
             const std::vector<const float*>& rows,
             const std::vector<float>& factors,
             std::int64_t dim) {
  std::size_t s = 0;
  for (; s + 4 <= rows.size(); s += 4) {
    addScaled4(out, fourFrom(rows, s), &factors[s], dim);
  }
  for (; s < rows.size(); ++s) {
    addScaled(out, rows[s], factors[s], dim);
  }
}

}  // namespace

double CpuOperators::innerProduct(const float* a, const float* b, std::int64_t count) const {
  return static_cast<double>(dotProduct(a, b, count));
}

Matrix<const float> CpuOperators::roundedInput(Matrix<const float> x,
                                               const WeightMatrix& weight,
                                               ActivationRounding rounding) {
  if (rounding == ActivationRounding::None || !weight.isQuantised()) {
    return x;
  }
  const Matrix<float> copy = scratch(rounded_, x.rows, x.cols);
  for (std::int64_t r = 0; r < x.rows; ++r) {
    std::copy_n(x.row(r), x.cols, copy.row(r));
    roundGroupsToE4m3(copy.rowSpan(r), WeightMatrix::kFp8Block);
  }
  return copy;
}

void CpuOperators::linear(Matrix<float> out,
                          Matrix<const float> x,
                          const WeightMatrix& weight,
                          ActivationRounding rounding) {
  const Matrix<const float> input = roundedInput(x, weight, rounding);
  // A few unpacked rows stay in L1 while every input row uses them.
  constexpr std::int64_t kPanel = 4;
  pool_.split(
      (weight.rows + kPanel - 1) / kPanel,
      [&](std::int64_t part, std::int64_t beginPanel, std::int64_t endPanel) {
        std::vector<float>& panel = unpacked_[static_cast<std::size_t>(part)];
        panel.resize(std::max(panel.size(), static_cast<std::size_t>(kPanel * weight.cols)));
        for (std::int64_t p = beginPanel; p < endPanel; ++p) {
          const std::int64_t first = p * kPanel;
          const std::int64_t count = std::min(kPanel, weight.rows - first);
          for (std::int64_t k = 0; k < count; ++k) {
            unpackRow(weight, first + k, panel.data() + k * weight.cols);
          }
          for (std::int64_t r = 0; r < input.rows; ++r) {
            multiplyPanel(out.row(r) + first, input.row(r), panel.data(), count, weight.cols);
          }
        }
      });
}

void CpuOperators::experts(Matrix<float> out,
                           Matrix<const float> x,
                           Matrix<const std::int32_t> picks,
                           Matrix<const float> weights,
                           const ExpertWeights& experts,
                           float limit,
                           ActivationRounding rounding) {
  const std::int64_t width = experts.gate.front().rows;
  for (std::size_t e = 0; e < experts.gate.size(); ++e) {
    // A member is a (row, choice) pair, so that an expert listed twice counts twice.
    members_.clear();
    for (std::int64_t r = 0; r < picks.rows; ++r) {
      for (std::int64_t j = 0; j < picks.cols; ++j) {
        if (picks.row(r)[j] == static_cast<std::int32_t>(e)) {
          members_.push_back(r * picks.cols + j);
        }
      }
    }
    if (members_.empty()) {
      continue;
    }
    const auto count = static_cast<std::int64_t>(members_.size());
    const Matrix<float> input = scratch(gathered_, count, x.cols);
    for (std::int64_t i = 0; i < count; ++i) {
      const std::int64_t r = members_[static_cast<std::size_t>(i)] / picks.cols;
      std::copy_n(x.row(r), x.cols, input.row(i));
    }
    const Matrix<float> gate = scratch(gate_, count, width);
    const Matrix<float> up = scratch(up_, count, width);
    linear(gate, input, experts.gate[e], rounding);
    linear(up, input, experts.up[e], rounding);
    for (std::int64_t i = 0; i < count; ++i) {
      const std::int64_t member = members_[static_cast<std::size_t>(i)];
      const float weight = weights.row(member / picks.cols)[member % picks.cols];
      for (std::int64_t c = 0; c < width; ++c) {
        const float g = std::min(gate.row(i)[c], limit);
        const float u = std::clamp(up.row(i)[c], -limit, limit);
        gate.row(i)[c] = g / (1.F + std::exp(-g)) * u * weight;
      }
    }
    const Matrix<float> down = scratch(down_, count, out.cols);
    linear(down, gate, experts.down[e], rounding);
    for (std::int64_t i = 0; i < count; ++i) {
      const std::int64_t r = members_[static_cast<std::size_t>(i)] / picks.cols;
      addScaled(out.row(r), down.row(i), 1.F, out.cols);
    }
  }
}

void CpuOperators::indexerTopK(Matrix<std::int32_t> chosen,
                               std::span<std::int32_t> count,
                               Matrix<const float> q,
                               Matrix<const float> headWeights,
                               const EntryPages<const std::byte>& keys,
                               std::span<const std::int32_t> visible) {
  // Unpacked tile by tile, so that a tile stays in L1 while every query of the thread reads it.
  constexpr std::int64_t kTile = 64;
  const std::int64_t dim = keys.layout.dim;
  const std::int64_t most = *std::max_element(visible.begin(), visible.end());
  const Matrix<float> scores = scratch(scores_, q.rows, most);
  pool_.split((most + kTile - 1) / kTile,
              [&](std::int64_t part, std::int64_t beginTile, std::int64_t endTile) {
                std::vector<float>& tile = keyTiles_[static_cast<std::size_t>(part)];
                tile.resize(static_cast<std::size_t>(kTile * dim));
                for (std::int64_t t = beginTile; t < endTile; ++t) {
                  const std::int64_t first = t * kTile;
                  const std::int64_t end = std::min(first + kTile, most);
                  for (std::int64_t s = first; s < end; ++s) {
                    unpackEntry(keys.layout, tile.data() + (s - first) * dim, keys.entry(s));
                  }
                  for (std::int64_t r = 0; r < q.rows; ++r) {
                    const std::int64_t seen =
                        std::min<std::int64_t>(end, visible[static_cast<std::size_t>(r)]);
                    for (std::int64_t s = first; s < seen; ++s) {
                      float score = 0;
                      for (std::int64_t h = 0; h < headWeights.cols; ++h) {
                        const float product =
                            dotProduct(q.row(r) + h * dim, tile.data() + (s - first) * dim, dim);
                        score += headWeights.row(r)[h] * std::max(product, 0.F);
                      }
                      scores.row(r)[s] = score;
                    }
                  }
                }
              });
  pool_.split(q.rows, [&](std::int64_t /*part*/, std::int64_t begin, std::int64_t end) {
    std::vector<std::int32_t> order;
    for (std::int64_t r = begin; r < end; ++r) {
      const auto row = static_cast<std::size_t>(r);
      count[row] = static_cast<std::int32_t>(std::min<std::int64_t>(chosen.cols, visible[row]));
      selectTopK({chosen.row(r), static_cast<std::size_t>(count[row])},
                 {scores.row(r), static_cast<std::size_t>(visible[row])},
                 order);
    }
  });
}

void CpuOperators::sparseAttention(Matrix<float> out,
                                   Matrix<const float> q,
                                   const AttentionKeys& keys,
                                   std::span<const std::int64_t> positions,
                                   std::span<const float> sinks) {
  keys_.unpack(keys, positions);
  const std::int64_t dim = keys_.dim();
  const float scale = 1.F / std::sqrt(static_cast<float>(dim));
  pool_.split(q.rows, [&](std::int64_t /*part*/, std::int64_t begin, std::int64_t end) {
    std::vector<const float*> rows;
    std::vector<float> logits;
    for (std::int64_t r = begin; r < end; ++r) {
      keys_.rowsOf(rows, r);
      logits.resize(rows.size());
      for (std::size_t h = 0; h < sinks.size(); ++h) {
        const std::int64_t offset = static_cast<std::int64_t>(h) * dim;
        float largest = sinks[h];
        multiplyRows(logits, q.row(r) + offset, rows, dim);
        for (float& logit : logits) {
          logit *= scale;
          largest = std::max(largest, logit);
        }
        float total = std::exp(sinks[h] - largest);
        for (float& logit : logits) {
          logit = std::exp(logit - largest);
          total += logit;
        }
        float* sum = out.row(r) + offset;
        std::fill_n(sum, dim, 0.F);
        for (float& weight : logits) {
          weight /= total;
        }
        addRows(sum, rows, logits, dim);
      }
    }
  });
}

}  // namespace tandem::kernels
