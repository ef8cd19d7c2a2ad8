// SPDX-License-Identifier: GPL-3.0-or-later
// Reference of the manifold-constrained hyper-connections.
#include <cmath>
#include <vector>

#include "engine/kernels/reference/reference_operators.h"

namespace tandem::kernels {

namespace {

double sigmoid(double x) {
  return 1.0 / (1.0 + std::exp(-x));
}

/// x = Σ_i pre_i * X_i for one row.
void collapse(std::span<float> x, std::span<const float> streams, const std::vector<double>& pre) {
  for (std::size_t c = 0; c < x.size(); ++c) {
    double sum = 0;
    for (std::size_t i = 0; i < pre.size(); ++i) {
      sum += pre[i] * static_cast<double>(streams[i * x.size() + c]);
    }
    x[c] = static_cast<float>(sum);
  }
}

/// One pass of C / (sum + eps): `step` walks along a line, `next` from line to line.
void normaliseLines(std::vector<double>& c,
                    std::size_t m,
                    std::size_t step,
                    std::size_t next,
                    double eps) {
  for (std::size_t line = 0; line < m; ++line) {
    double sum = eps;
    for (std::size_t i = 0; i < m; ++i) {
      sum += c[line * next + i * step];
    }
    for (std::size_t i = 0; i < m; ++i) {
      c[line * next + i * step] /= sum;
    }
  }
}

void softmaxRows(std::vector<double>& c, std::size_t m, double eps) {
  for (std::size_t j = 0; j < m; ++j) {
    double largest = c[j * m];
    for (std::size_t k = 1; k < m; ++k) {
      largest = std::max(largest, c[j * m + k]);
    }
    double sum = 0;
    for (std::size_t k = 0; k < m; ++k) {
      c[j * m + k] = std::exp(c[j * m + k] - largest);
      sum += c[j * m + k];
    }
    for (std::size_t k = 0; k < m; ++k) {
      c[j * m + k] = c[j * m + k] / sum + eps;
    }
  }
}

}  // namespace

std::vector<double> ReferenceOperators::hyperLogits(std::span<const float> v,
                                                    const HyperConnectionWeights& weights) const {
  const auto width = static_cast<std::int64_t>(v.size());
  const double squares = innerProduct(v.data(), v.data(), width);
  const double inverse =
      1.0 / std::sqrt(squares / static_cast<double>(width) + static_cast<double>(weights.normEps));
  std::vector<double> logits(static_cast<std::size_t>(weights.fn.rows));
  for (std::size_t n = 0; n < logits.size(); ++n) {
    logits[n] =
        innerProduct(weights.fn.row(static_cast<std::int64_t>(n)), v.data(), width) * inverse;
  }
  return logits;
}

void ReferenceOperators::hyperPre(Matrix<float> x,
                                  HyperConnectionMix mix,
                                  Matrix<const float> streams,
                                  const HyperConnectionWeights& weights) {
  const auto m = static_cast<std::size_t>(mix.post.cols);
  const auto eps = static_cast<double>(weights.eps);
  std::vector<double> pre(m);
  std::vector<double> comb(m * m);
  for (std::int64_t r = 0; r < x.rows; ++r) {
    const std::vector<double> logits = hyperLogits(streams.rowSpan(r), weights);
    const auto affine = [&](std::size_t n, std::size_t part) {
      return logits[n] * static_cast<double>(weights.scale[part]) +
             static_cast<double>(weights.base[n]);
    };
    for (std::size_t i = 0; i < m; ++i) {
      pre[i] = sigmoid(affine(i, 0)) + eps;
      mix.post.row(r)[i] = static_cast<float>(2.0 * sigmoid(affine(m + i, 1)));
    }
    for (std::size_t n = 0; n < m * m; ++n) {
      comb[n] = affine(2 * m + n, 2);
    }
    softmaxRows(comb, m, eps);
    normaliseLines(comb, m, m, 1, eps);
    for (int i = 1; i < weights.sinkhornIterations; ++i) {
      normaliseLines(comb, m, 1, m, eps);
      normaliseLines(comb, m, m, 1, eps);
    }
    for (std::size_t n = 0; n < m * m; ++n) {
      mix.comb.row(r)[n] = static_cast<float>(comb[n]);
    }
    collapse(x.rowSpan(r), streams.rowSpan(r), pre);
  }
}

void ReferenceOperators::hyperPost(Matrix<float> streams,
                                   Matrix<const float> y,
                                   const HyperConnectionMix& mix) {
  const std::int64_t m = mix.post.cols;
  std::vector<float> before(static_cast<std::size_t>(m));
  for (std::int64_t r = 0; r < streams.rows; ++r) {
    const float* comb = mix.comb.row(r);
    for (std::int64_t c = 0; c < y.cols; ++c) {
      for (std::int64_t j = 0; j < m; ++j) {
        before[static_cast<std::size_t>(j)] = streams.row(r)[j * y.cols + c];
      }
      for (std::int64_t k = 0; k < m; ++k) {
        double sum = static_cast<double>(mix.post.row(r)[k]) * static_cast<double>(y.row(r)[c]);
        for (std::int64_t j = 0; j < m; ++j) {
          sum += static_cast<double>(comb[j * m + k]) *
                 static_cast<double>(before[static_cast<std::size_t>(j)]);
        }
        streams.row(r)[k * y.cols + c] = static_cast<float>(sum);
      }
    }
  }
}

void ReferenceOperators::hyperHead(Matrix<float> x,
                                   Matrix<const float> streams,
                                   const HyperConnectionWeights& weights) {
  for (std::int64_t r = 0; r < x.rows; ++r) {
    std::vector<double> pre = hyperLogits(streams.rowSpan(r), weights);
    for (std::size_t i = 0; i < pre.size(); ++i) {
      pre[i] = sigmoid(pre[i] * static_cast<double>(weights.scale[0]) +
                       static_cast<double>(weights.base[i])) +
               static_cast<double>(weights.eps);
    }
    collapse(x.rowSpan(r), streams.rowSpan(r), pre);
  }
}

}  // namespace tandem::kernels
