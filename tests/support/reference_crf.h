/// A linear-chain conditional random field, one sequence at a time: by enumeration of all ways to
/// tag it, and, for sizes at which that is not possible, by the recursions of Rabiner 1989, section
/// III, in logarithms.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "tests/support/reference.h"

namespace unroll::reference {

using Tags = std::vector<std::int32_t>;

template <typename S>
struct Chain {
  Array<S> scores;       // [L, K]
  Array<S> transitions;  // [K, K]
  Array<S> start, end;   // [K]

  std::int64_t steps() const { return scores.rows(); }
  std::int64_t tags() const { return scores.last(); }
};

template <typename S>
S chain_score(const Chain<S>& c, const Tags& tags) {
  S sum = c.start.values[std::size_t(tags.front())] + c.end.values[std::size_t(tags.back())];
  for (std::size_t t = 0; t < tags.size(); ++t) {
    sum += c.scores.at(std::int64_t(t), tags[t]);
    if (t > 0) sum += c.transitions.at(tags[t - 1], tags[t]);
  }
  return sum;
}

/// Calls visit(tags) for each of the K^L ways. The first timestep changes slowest.
template <typename Visit>
void for_each_tagging(std::int64_t steps, std::int64_t tags, const Visit& visit) {
  for_each_index(Dims(std::size_t(steps), tags),
                 [&](const Dims& index) { visit(Tags(index.begin(), index.end())); });
}

/// ln of the sum of e^term, shifted by the greatest real part. -inf of nothing but -inf.
template <typename S>
S log_sum_exp(const std::vector<S>& terms) {
  double most = -std::numeric_limits<double>::infinity();
  for (const S& term : terms) most = std::max(most, real(term));
  if (std::isinf(most)) return S(most);
  S sum = 0;
  for (const S& term : terms)
    if (!std::isinf(real(term))) sum += std::exp(term - most);
  return std::log(sum) + most;
}

/// -ln P(tags), by enumeration.
template <typename S>
S chain_loss(const Chain<S>& c, const Tags& tags) {
  std::vector<S> scores;
  for_each_tagging(c.steps(), c.tags(),
                   [&](const Tags& other) { scores.push_back(chain_score(c, other)); });
  return log_sum_exp(scores) - chain_score(c, tags);
}

/// The tagging with the greatest score; among equals the one whose last tag is the smallest, then
/// the one before it.
inline Tags best_tagging(const Chain<double>& c) {
  Tags best;
  for_each_tagging(c.steps(), c.tags(), [&](const Tags& tags) {
    const double gain = best.empty() ? 1 : chain_score(c, tags) - chain_score(c, best);
    if (gain > 0 || (gain == 0 && std::lexicographical_compare(tags.rbegin(), tags.rend(),
                                                               best.rbegin(), best.rend())))
      best = tags;
  });
  return best;
}

/// The greatest score, by Viterbi's recursion.
inline double best_score(const Chain<double>& c) {
  std::vector<double> best(std::size_t(c.tags()));
  for (std::int64_t t = 0; t < c.steps(); ++t) {
    const std::vector<double> before = best;
    for (std::int64_t j = 0; j < c.tags(); ++j) {
      double most =
          t == 0 ? c.start.values[std::size_t(j)] : -std::numeric_limits<double>::infinity();
      for (std::int64_t i = 0; t > 0 && i < c.tags(); ++i)
        most = std::max(most, before[std::size_t(i)] + c.transitions.at(i, j));
      best[std::size_t(j)] = most + c.scores.at(t, j);
    }
  }
  for (std::size_t j = 0; j < best.size(); ++j) best[j] += c.end.values[j];
  return *std::max_element(best.begin(), best.end());
}

struct ChainSlopes {
  double loss;
  Chain<double> slopes;
};

/// -ln P(tags) and its gradient: probabilities of a tag and of a pair of neighbours, less 1 where
/// the tags have it.
inline ChainSlopes chain_slopes(const Chain<double>& c, const Tags& tags) {
  const std::int64_t steps = c.steps(), count = c.tags();
  Array<double> alpha(c.scores.dims), beta(c.scores.dims);
  std::vector<double> terms(std::size_t(count), 0);
  for (std::int64_t t = 0; t < steps; ++t)
    for (std::int64_t j = 0; j < count; ++j) {
      for (std::int64_t i = 0; t > 0 && i < count; ++i)
        terms[std::size_t(i)] = alpha.at(t - 1, i) + c.transitions.at(i, j);
      alpha.at(t, j) =
          (t == 0 ? c.start.values[std::size_t(j)] : log_sum_exp(terms)) + c.scores.at(t, j);
    }
  for (std::int64_t t = steps - 1; t >= 0; --t)
    for (std::int64_t i = 0; i < count; ++i) {
      for (std::int64_t j = 0; t + 1 < steps && j < count; ++j)
        terms[std::size_t(j)] = c.transitions.at(i, j) + c.scores.at(t + 1, j) + beta.at(t + 1, j);
      beta.at(t, i) = t + 1 == steps ? c.end.values[std::size_t(i)] : log_sum_exp(terms);
    }
  for (std::int64_t j = 0; j < count; ++j)
    terms[std::size_t(j)] = alpha.at(steps - 1, j) + beta.at(steps - 1, j);
  const double all = log_sum_exp(terms);

  ChainSlopes result{all - chain_score(c, tags),
                     {Array<double>(c.scores.dims), Array<double>(c.transitions.dims),
                      Array<double>(c.start.dims), Array<double>(c.end.dims)}};
  Chain<double>& d = result.slopes;
  for (std::int64_t t = 0; t < steps; ++t)
    for (std::int64_t j = 0; j < count; ++j) {
      d.scores.at(t, j) =
          std::exp(alpha.at(t, j) + beta.at(t, j) - all) - (tags[std::size_t(t)] == j ? 1 : 0);
      for (std::int64_t i = 0; t > 0 && i < count; ++i)
        d.transitions.at(i, j) += std::exp(alpha.at(t - 1, i) + c.transitions.at(i, j) +
                                           c.scores.at(t, j) + beta.at(t, j) - all);
    }
  for (std::size_t t = 1; t < tags.size(); ++t) d.transitions.at(tags[t - 1], tags[t]) -= 1;
  for (std::int64_t j = 0; j < count; ++j) {
    d.start.values[std::size_t(j)] = d.scores.at(0, j);
    d.end.values[std::size_t(j)] = d.scores.at(steps - 1, j);
  }
  return result;
}

}  // namespace unroll::reference
