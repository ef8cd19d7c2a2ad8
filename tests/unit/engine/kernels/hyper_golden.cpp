// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/unit/engine/kernels/hyper_golden.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "engine/kernels/reference/reference_operators.h"

namespace tandem::tests {

namespace {

using kernels::kFloatRoundoff;
using kernels::sumError;

const HyperParameters& parametersOf(const std::vector<HyperParameters>& parameters,
                                    std::int64_t row) {
  return parameters.size() == 1 ? parameters.front() : parameters[static_cast<std::size_t>(row)];
}

/// How far each logit may be off after scale and base: golden and engine round each on their own.
std::vector<double> logitErrors(std::span<const float> v,
                                const HyperParameters& parameters,
                                std::size_t m) {
  const auto width = static_cast<std::int64_t>(v.size());
  double squares = 0;
  for (const float value : v) {
    squares += static_cast<double>(value) * static_cast<double>(value);
  }
  const double norm = std::sqrt(squares / static_cast<double>(width) + kHyperEps);
  const double relative = 2 * (1.5 * sumError(width) + 10 * kFloatRoundoff);
  std::vector<double> errors;
  for (std::size_t n = 0; n < parameters.base.size(); ++n) {
    double magnitude = 0;
    for (std::size_t i = 0; i < v.size(); ++i) {
      magnitude +=
          std::fabs(static_cast<double>(v[i]) *
                    static_cast<double>(parameters.fn.view().row(static_cast<std::int64_t>(n))[i]));
    }
    const std::size_t part = std::min<std::size_t>(n / m, 2);
    errors.push_back(relative * magnitude / norm *
                         std::fabs(static_cast<double>(parameters.scale[part])) +
                     4 * kFloatRoundoff * std::fabs(static_cast<double>(parameters.base[n])));
  }
  return errors;
}

/// How far comb moves when its logits move by their errors, to first order: the sum over the logits
/// of what each moves alone.
std::vector<double> combErrors(Matrix<const float> streams,
                               const HyperParameters& parameters,
                               const std::vector<double>& errors,
                               std::int64_t dim,
                               std::int64_t m) {
  kernels::ReferenceOperators reference;
  const auto combOf = [&](const HyperParameters& own) {
    std::vector<float> x(static_cast<std::size_t>(dim));
    std::vector<float> post(static_cast<std::size_t>(m));
    std::vector<float> comb(static_cast<std::size_t>(m * m));
    reference.hyperPre({x.data(), 1, dim},
                       {{post.data(), 1, m}, {comb.data(), 1, m * m}},
                       streams,
                       own.weights());
    return comb;
  };
  const std::vector<float> still = combOf(parameters);
  std::vector<double> moved(still.size());
  HyperParameters nudged = parameters;
  for (std::size_t n = 2 * static_cast<std::size_t>(m); n < errors.size(); ++n) {
    nudged.base[n] = parameters.base[n] + static_cast<float>(errors[n]);
    const std::vector<float> comb = combOf(nudged);
    nudged.base[n] = parameters.base[n];
    for (std::size_t i = 0; i < moved.size(); ++i) {
      moved[i] += std::fabs(static_cast<double>(comb[i]) - static_cast<double>(still[i]));
    }
  }
  return moved;
}

}  // namespace

Table hyperPreBounds(const Table& streams,
                     const std::vector<HyperParameters>& parameters,
                     const Table& answer,
                     std::int64_t dim,
                     std::int64_t m) {
  Table bounds{{}, answer.cols};
  for (std::int64_t r = 0; r < answer.rows(); ++r) {
    const HyperParameters& own = parametersOf(parameters, r);
    const std::span<const float> v = streams.view().rowSpan(r);
    const auto count = static_cast<std::size_t>(m);
    const std::vector<double> errors = logitErrors(v, own, count);
    for (std::int64_t c = 0; c < dim; ++c) {
      double bound = 0;
      for (std::size_t i = 0; i < count; ++i) {
        // The slope of a sigmoid is at most 1/4.
        bound += (errors[i] / 4 + 2 * (static_cast<double>(m) + 8) * kFloatRoundoff) *
                 std::fabs(static_cast<double>(
                     v[i * static_cast<std::size_t>(dim) + static_cast<std::size_t>(c)]));
      }
      bounds.values.push_back(static_cast<float>(bound));
    }
    for (std::size_t i = 0; i < count; ++i) {
      bounds.values.push_back(static_cast<float>(errors[count + i] / 2 + 32 * kFloatRoundoff));
    }
    const std::vector<double> moved = combErrors(streams.middleRows(r, 1), own, errors, dim, m);
    // Each pass rounds its sums and quotients, on both sides.
    const double passes = 2.0 * own.iterations;
    const double rounding = 2 * passes * (static_cast<double>(m) + 3) * kFloatRoundoff;
    for (std::int64_t n = 0; n < m * m; ++n) {
      const double value = std::fabs(static_cast<double>(answer.view().row(r)[dim + m + n]));
      bounds.values.push_back(
          static_cast<float>(moved[static_cast<std::size_t>(n)] + rounding * value));
    }
  }
  return bounds;
}

OperatorCase hyperPreGolden(std::string name,
                            const std::shared_ptr<const Table>& streams,
                            const HyperRows& parameters,
                            const Table& x,
                            const Table& post,
                            const Table& comb) {
  const std::int64_t dim = x.cols;
  const std::int64_t m = post.cols;
  Table answer{{}, dim + m + m * m};
  for (std::int64_t r = 0; r < x.rows(); ++r) {
    for (const Table* part : {&x, &post, &comb}) {
      const std::span<const float> row = part->view().rowSpan(r);
      answer.values.insert(answer.values.end(), row.begin(), row.end());
    }
  }
  Table bounds = hyperPreBounds(*streams, *parameters, answer, dim, m);
  return goldenCase(
      OperatorId::HyperPre,
      std::move(name),
      std::move(answer),
      [=](Operators& operators, std::int64_t first, Matrix<float> out) {
        const std::int64_t step = parameters->size() == 1 ? out.rows : 1;
        for (std::int64_t r = 0; r < out.rows; r += step) {
          const Matrix<float> part = out.middleRows(r, step);
          operators.hyperPre({part.data, step, dim, part.stride},
                             {{part.data + dim, step, m, part.stride},
                              {part.data + dim + m, step, m * m, part.stride}},
                             streams->middleRows(first + r, step),
                             parametersOf(*parameters, first + r).weights());
        }
      },
      within(std::move(bounds)));
}

OperatorCase hyperPostGolden(std::string name,
                             const std::shared_ptr<const Table>& streams,
                             const std::shared_ptr<const Table>& y,
                             const std::shared_ptr<Table>& post,
                             const std::shared_ptr<Table>& comb,
                             Table answer) {
  const std::int64_t m = post->cols;
  const std::int64_t dim = y->cols;
  Table bounds{{}, answer.cols};
  for (std::int64_t r = 0; r < answer.rows(); ++r) {
    const auto magnitude = [r](const Table& table, std::int64_t c) {
      return std::fabs(static_cast<double>(table.view().row(r)[c]));
    };
    for (std::int64_t k = 0; k < m; ++k) {
      for (std::int64_t c = 0; c < dim; ++c) {
        double sum = magnitude(*post, k) * magnitude(*y, c);
        for (std::int64_t j = 0; j < m; ++j) {
          sum += magnitude(*comb, j * m + k) * magnitude(*streams, j * dim + c);
        }
        bounds.values.push_back(
            static_cast<float>(2 * (static_cast<double>(m) + 3) * kFloatRoundoff * sum));
      }
    }
  }
  return goldenCase(
      OperatorId::HyperPost,
      std::move(name),
      std::move(answer),
      [=](Operators& operators, std::int64_t first, Matrix<float> out) {
        copyRows(out, streams->middleRows(first, out.rows));
        const Matrix<float> posts = post->view();
        const Matrix<float> combs = comb->view();
        operators.hyperPost(out,
                            y->middleRows(first, out.rows),
                            {posts.middleRows(first, out.rows), combs.middleRows(first, out.rows)});
      },
      within(std::move(bounds)));
}

}  // namespace tandem::tests
