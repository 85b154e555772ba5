#include "cuda/recurrent_choices.h"

namespace unroll::gpu {
namespace {

RecurrentSpec without_dropout(RecurrentSpec spec) {
  spec.dropout = 0;
  return spec;
}

}  // namespace

const StackAlgorithm* RecurrentChoices::find(const RecurrentArgs& args) const {
  const RecurrentSpec spec = without_dropout(args.spec);
  const StackAlgorithm* found = nullptr;
  for (const Choice& choice : choices_) {
    if (choice.spec != spec) continue;
    if (choice.batch == args.batch) return &choice.algorithm;
    if (!args.training) found = &choice.algorithm;
  }
  return found;
}

void RecurrentChoices::add(const RecurrentArgs& args, const StackAlgorithm& algorithm) {
  choices_.push_back({without_dropout(args.spec), args.batch, algorithm});
}

StackAlgorithm or_stepwise(const StackAlgorithm& chosen, const RecurrentArgs& args,
                           const CanTake& can_take) {
  StackAlgorithm planned = chosen;
  if (!can_take(chosen.forward, false)) planned.forward = {};
  if (args.training && !can_take(chosen.backward, true)) planned.backward = {};
  return planned;
}

}  // namespace unroll::gpu
