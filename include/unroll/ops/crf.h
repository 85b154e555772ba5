/// A linear-chain conditional random field: what makes a sequence of tags probable is the score of
/// each tag at its place and the score of each pair of neighbours.
///
/// ln P(tags | scores) = start[y_0] + sum_t scores[t, y_t] + sum_t transitions[y_{t-1}, y_t] +
/// end[y_{L-1}] - ln Z, where Z sums the exponentials of this over all sequences of L tags.
/// Source    Lafferty, McCallum & Pereira 2001; Viterbi 1967.
#pragma once

#include <cstdint>

#include "unroll/graph.h"

namespace unroll {

/// More tags than this are refused.
inline constexpr std::int64_t kMaxCrfTags = 1024;

/// The weights of a chain, under the names that pytorch-crf gives them.
struct CrfWeights {
  Tensor transitions;        // [K, K]: from the row's tag to the column's
  Tensor start_transitions;  // [K]
  Tensor end_transitions;    // [K]
};

/// -ln P(tags | scores) of each sequence. A sequence with an ignored tag (-1) within its length
/// counts for nothing: its loss is 0, and it adds nothing to any gradient. With another tag outside
/// [0, K), with a length outside [1, T], and where no sequence of tags is possible, loss and
/// gradient are NaN. A tag is excluded by a score of -inf. What is behind a sequence's end is not
/// read. Gradients reach scores and weights.
/// Shapes    scores [T, N, K], tags [T, N] int32, lengths [N] int32, 1 <= K <= kMaxCrfTags -> [N]
Tensor crf_loss(Tensor scores, Tensor tags, Tensor lengths, const CrfWeights& weights);

/// The most probable tags of each sequence, and -1 behind its end. Among equals the smaller tag
/// wins, decided from the last timestep to the first. The whole sequence is -1 if a score or weight
/// in it is NaN, if no sequence of tags has a finite score, and for a length outside [1, T]. No
/// gradient.
/// Shapes    scores [T, N, K], lengths [N] int32 -> [T, N] int32
Tensor crf_decode(Tensor scores, Tensor lengths, const CrfWeights& weights);

}  // namespace unroll
