/// Loops and branches inside a graph. A body is described once, by a function that is called while
/// the graph is built. What it adds goes into a graph of the body's own. It may read tensors from
/// outside and use layers and variables, which then get gradients like others. It may not write to
/// variables, and placeholders belong outside.
///
/// scan() is queued as a whole, so a GPU runs it from one recorded graph. In cond() and
/// while_loop() the host decides: a run waits there until it has read the predicate, and everything
/// between two decisions is one recorded graph. Such nodes may be in each other, and a scan may be
/// in them; a scan's body holds no decision.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "unroll/graph.h"

namespace unroll {

struct ScanStep {
  std::vector<Tensor> states;   // after this step, in the order in which they came in
  std::vector<Tensor> outputs;  // of this step
};

/// One step of a scan. It gets the states, and of each sequence the element of this step, which has
/// the sequence's shape without its first dimension.
using ScanBody =
    std::function<ScanStep(const std::vector<Tensor>& states, const std::vector<Tensor>& elements)>;

struct ScanResult {
  std::vector<Tensor> states;   // after the last step
  std::vector<Tensor> outputs;  // [T, ...] each: those of all steps
};

/// Steps through sequences with one copy of the body, however many steps there are: for t in
/// 0 ... T - 1, states = body(states, elements t). Unlike unrolled(), T may be open. Gradients flow
/// to initial states, sequences, and tensors from outside; for them a run keeps every step's states
/// and computes the rest of each step again. Random operations draw anew in each step. `name` keys
/// their numbers.
/// Shapes    sequences [T, ...], at least one, T at least 1; states keep their shapes and element
///           types
/// Errors    std::invalid_argument if these differ, or if the body holds a decision of the host.
ScanResult scan(const ScanBody& body, const std::vector<Tensor>& initial,
                const std::vector<Tensor>& sequences, std::string_view name = "scan");

using Branch = std::function<std::vector<Tensor>()>;

/// The results of one of two branches: of `then` if the predicate is true. Only the chosen one
/// runs. Gradients flow through it to tensors from outside. `name` keys random numbers in them.
/// Shapes    predicate bool with one element; result k has the same type in both branches
/// Errors    std::invalid_argument if these differ.
std::vector<Tensor> cond(Tensor predicate, const Branch& then, const Branch& otherwise,
                         std::string_view name = "cond");

using LoopCondition = std::function<Tensor(const std::vector<Tensor>& states)>;
using LoopBody = std::function<std::vector<Tensor>(const std::vector<Tensor>& states)>;

struct WhileOptions {
  std::int64_t max_iterations = 0;  // to be given, 1 or more
  std::string_view name = "while_loop";
};

/// states = body(states) as long as condition(states) is true, which is asked first. It has no
/// gradient: scan() has one. Random operations draw anew in each iteration.
/// Shapes    condition -> bool with one element; states keep their shapes and element types
/// Errors    std::invalid_argument if these differ, or max_iterations is below 1; from a run,
///           std::runtime_error if the condition still holds after max_iterations. Such a run
///           writes to no variable.
std::vector<Tensor> while_loop(const LoopCondition& condition, const LoopBody& body,
                               const std::vector<Tensor>& initial, const WhileOptions& options);

}  // namespace unroll
