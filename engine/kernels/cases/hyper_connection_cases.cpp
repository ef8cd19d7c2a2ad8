// SPDX-License-Identifier: GPL-3.0-or-later
// Cases of the hyper-connections: collapse, mix back, head.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "engine/kernels/cases/case_list.h"
#include "engine/kernels/cases/case_values.h"
#include "engine/kernels/cases/known_answers.h"

namespace tandem::kernels {

namespace {

constexpr int kIterations = 20;
constexpr float kEps = 1e-6F;

struct Shape {
  std::int64_t rows;
  std::int64_t dim;
  std::int64_t m;  // streams
};

struct Inputs {
  Shape shape{};
  std::vector<float> streams;
  std::vector<float> fn;
  std::vector<float> base;
  std::vector<float> scale;
  std::vector<float> y;     // hyperPost
  std::vector<float> post;  // hyperPost
  std::vector<float> comb;  // hyperPost

  [[nodiscard]] HyperConnectionWeights weights() const {
    const std::int64_t width = shape.m * shape.dim;
    return {{fn.data(), static_cast<std::int64_t>(base.size()), width},
            base,
            scale,
            kIterations,
            kEps,
            kEps};
  }
  [[nodiscard]] Matrix<const float> streamRows(std::int64_t first, std::int64_t count) const {
    const std::int64_t width = shape.m * shape.dim;
    return {streams.data() + first * width, count, width};
  }
};

std::shared_ptr<Inputs> makeInputs(std::uint64_t seed, const Shape& shape, bool head) {
  CaseValues values(seed);
  auto inputs = std::make_shared<Inputs>();
  const std::int64_t m = shape.m;
  const std::int64_t logits = head ? m : (2 + m) * m;
  inputs->shape = shape;
  inputs->streams = values.numbers(shape.rows * m * shape.dim);
  inputs->fn = values.numbers(logits * m * shape.dim);
  // Logits of order 1, as trained weights give them.
  for (float& weight : inputs->fn) {
    weight /= 64.F;
  }
  inputs->base = values.numbers(logits);
  inputs->scale = values.numbers(head ? 1 : 3);
  inputs->y = values.numbers(shape.rows * shape.dim);
  inputs->post = values.numbers(shape.rows * m);
  inputs->comb = values.numbers(shape.rows * m * m);
  return inputs;
}

/// How far a logit of the row may be off after scale and base: the products and sums of fn · v, the
/// norm, and the affine part.
double logitError(const Inputs& inputs, std::int64_t row, std::size_t logit, std::size_t part) {
  const std::int64_t width = inputs.shape.m * inputs.shape.dim;
  const float* v = inputs.streamRows(row, 1).data;
  const float* fn = inputs.fn.data() + static_cast<std::int64_t>(logit) * width;
  double squares = 0;
  double magnitude = 0;
  for (std::int64_t i = 0; i < width; ++i) {
    squares += static_cast<double>(v[i]) * static_cast<double>(v[i]);
    magnitude += std::fabs(static_cast<double>(v[i]) * static_cast<double>(fn[i]));
  }
  const double norm = std::sqrt(squares / static_cast<double>(width) + static_cast<double>(kEps));
  const double relative = 1.5 * sumError(width) + 10 * kFloatRoundoff;
  return relative * magnitude / norm * std::fabs(static_cast<double>(inputs.scale[part])) +
         2 * kFloatRoundoff * std::fabs(static_cast<double>(inputs.base[logit]));
}

/// x = Σ_i pre_i * X_i: the slope of a sigmoid is at most 1/4, pre below 1 + eps.
void allowCollapse(const Inputs& inputs, Matrix<float> allowed) {
  const Shape& shape = inputs.shape;
  for (std::int64_t r = 0; r < shape.rows; ++r) {
    for (std::int64_t c = 0; c < shape.dim; ++c) {
      double bound = 0;
      for (std::int64_t i = 0; i < shape.m; ++i) {
        const double pre = logitError(inputs, r, static_cast<std::size_t>(i), 0) / 4 +
                           (static_cast<double>(shape.m) + 8) * kFloatRoundoff;
        bound +=
            pre * std::fabs(static_cast<double>(inputs.streamRows(r, 1).data[i * shape.dim + c]));
      }
      allowed.row(r)[c] = static_cast<float>(bound);
    }
  }
}

OperatorCase makePre(std::uint64_t seed, const Shape& shape) {
  const std::shared_ptr<const Inputs> inputs = makeInputs(seed, shape, false);
  const std::int64_t m = shape.m;
  OperatorCase made;
  made.op = OperatorId::HyperPre;
  made.name = fmt::format("{} rows of {} x {}: x, post, comb", shape.rows, m, shape.dim);
  made.rows = shape.rows;
  made.columns = shape.dim + m + m * m;
  made.run = [inputs, m](Operators& operators, std::int64_t first, Matrix<float> out) {
    const std::int64_t dim = inputs->shape.dim;
    operators.hyperPre({out.data, out.rows, dim, out.stride},
                       {{out.data + dim, out.rows, m, out.stride},
                        {out.data + dim + m, out.rows, m * m, out.stride}},
                       inputs->streamRows(first, out.rows),
                       inputs->weights());
  };
  made.allow = [inputs, m](Matrix<float> allowed, Matrix<const float> expected) {
    const std::int64_t dim = inputs->shape.dim;
    allowCollapse(*inputs, allowed);
    for (std::int64_t r = 0; r < allowed.rows; ++r) {
      double error = 0;
      for (std::int64_t i = 0; i < m; ++i) {
        allowed.row(r)[dim + i] = static_cast<float>(
            logitError(*inputs, r, static_cast<std::size_t>(m + i), 1) / 2 + 16 * kFloatRoundoff);
      }
      for (std::int64_t n = 0; n < m * m; ++n) {
        error = std::max(error, logitError(*inputs, r, static_cast<std::size_t>(2 * m + n), 2));
      }
      // Each pass divides lines by their sums. In logarithms a pass moves by no more than what came
      // in and adds its own rounding, so 2 T passes keep the relative error below their sum.
      const double passes = 2.0 * kIterations;
      const double relative =
          (1 + 2 * passes) * error + passes * (static_cast<double>(m) + 3) * kFloatRoundoff;
      for (std::int64_t n = 0; n < m * m; ++n) {
        const std::int64_t c = dim + m + n;
        allowed.row(r)[c] =
            static_cast<float>(relative * std::fabs(static_cast<double>(expected.row(r)[c])));
      }
    }
  };
  return made;
}

OperatorCase makePost(std::uint64_t seed, const Shape& shape) {
  const std::shared_ptr<const Inputs> inputs = makeInputs(seed, shape, false);
  const std::int64_t m = shape.m;
  const std::int64_t dim = shape.dim;
  OperatorCase made;
  made.op = OperatorId::HyperPost;
  made.name = fmt::format("{} rows of {} x {}", shape.rows, m, dim);
  made.rows = shape.rows;
  made.columns = m * dim;
  made.run = [inputs, m, dim](Operators& operators, std::int64_t first, Matrix<float> out) {
    const Matrix<const float> streams = inputs->streamRows(first, out.rows);
    std::copy_n(streams.data, out.rows * streams.cols, out.data);
    // The views of a mix are writable because hyperPre fills them; hyperPost only reads.
    std::vector<float> post(inputs->post.begin() + first * m,
                            inputs->post.begin() + (first + out.rows) * m);
    std::vector<float> comb(inputs->comb.begin() + first * m * m,
                            inputs->comb.begin() + (first + out.rows) * m * m);
    operators.hyperPost(out,
                        {inputs->y.data() + first * dim, out.rows, dim},
                        {{post.data(), out.rows, m}, {comb.data(), out.rows, m * m}});
  };
  made.allow = [inputs, m, dim](Matrix<float> allowed, Matrix<const float> /*expected*/) {
    const auto magnitude = [](const std::vector<float>& values, std::int64_t at) {
      return std::fabs(static_cast<double>(values[static_cast<std::size_t>(at)]));
    };
    for (std::int64_t r = 0; r < allowed.rows; ++r) {
      for (std::int64_t k = 0; k < m; ++k) {
        for (std::int64_t c = 0; c < dim; ++c) {
          double sum = magnitude(inputs->post, r * m + k) * magnitude(inputs->y, r * dim + c);
          for (std::int64_t j = 0; j < m; ++j) {
            sum += magnitude(inputs->comb, (r * m + j) * m + k) *
                   magnitude(inputs->streams, (r * m + j) * dim + c);
          }
          allowed.row(r)[k * dim + c] =
              static_cast<float>((static_cast<double>(m) + 3) * kFloatRoundoff * sum);
        }
      }
    }
  };
  return made;
}

OperatorCase makeHead(std::uint64_t seed, const Shape& shape) {
  const std::shared_ptr<const Inputs> inputs = makeInputs(seed, shape, true);
  OperatorCase made;
  made.op = OperatorId::HyperHead;
  made.name = fmt::format("{} rows of {} x {}", shape.rows, shape.m, shape.dim);
  made.rows = shape.rows;
  made.columns = shape.dim;
  made.run = [inputs](Operators& operators, std::int64_t first, Matrix<float> out) {
    operators.hyperHead(out, inputs->streamRows(first, out.rows), inputs->weights());
  };
  made.allow = [inputs](Matrix<float> allowed, Matrix<const float> /*expected*/) {
    allowCollapse(*inputs, allowed);
  };
  return made;
}

}  // namespace

std::vector<OperatorCase> hyperConnectionCases() {
  constexpr Shape kKnown{2, 6, 4};
  std::vector<OperatorCase> cases;
  for (OperatorCase known : {makePre(300, kKnown), makePost(301, kKnown), makeHead(302, kKnown)}) {
    known.name = "known answer, " + known.name;
    known.answer = knownAnswer(known.op);
    cases.push_back(std::move(known));
  }
  std::uint64_t seed = 310;
  for (const Shape& shape : {Shape{1, 33, 4}, Shape{5, 128, 2}, Shape{6, 512, 4}}) {
    cases.push_back(makePre(seed++, shape));
    cases.push_back(makePost(seed++, shape));
    cases.push_back(makeHead(seed++, shape));
  }
  return cases;
}

}  // namespace tandem::kernels
