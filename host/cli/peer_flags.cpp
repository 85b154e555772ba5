#include "host/cli/peer_flags.h"

#include <algorithm>

namespace unroll::cli {
namespace {

constexpr const char* kOneRate =
    "--dropout is one rate on all connections but the recurrent ones; weights are not dropped";
constexpr const char* kNoActivation = "no penalty of activations is offered";

constexpr const char* kNoPointer = "there is no cache of the last words beside the model";

constexpr PeerFlag kPeerFlags[] = {
    {"accel", "--device cuda"},
    {"accurate-gpu-timing", "times of training need no flag, and unroll bench rnn times layers"},
    {"alpha", kNoActivation},
    {"batch", "--batch-size"},
    {"beta", kNoActivation},
    {"checkpoint-dir", "--save"},
    {"checkpoint-every", "--save-every"},
    {"cuda", "--device cuda"},
    {"data-dir", "--data"},
    {"decay-rate", "--rms-decay"},
    {"dropoute", kOneRate},
    {"dropouth", kOneRate},
    {"dropouti", kOneRate},
    {"dry-run", "--overfit-one-batch with --epochs 1 tries a run"},
    {"embedding-dim", "--emsize"},
    {"embedding-size", "--emsize"},
    {"eval-val-every", "--eval-interval"},
    {"gpu", "--device cuda:0"},
    {"gpuid", "--device cuda:0, or --device cpu for -1"},
    {"grad-clip", "--clip-value for each element, --clip for the norm"},
    {"hidden-dim", "--nhid"},
    {"hidden-size", "--nhid"},
    {"lambdasm", kNoPointer},
    {"layers", "--nlayers"},
    {"learning-rate", "--lr"},
    {"learning-rate-decay", "--lr-decay, which divides the rate"},
    {"learning-rate-decay-after", "--lr-decay-after"},
    {"lr-decay-every", "--lr-schedule decay divides the rate in each epoch"},
    {"max-epochs", "--epochs"},
    {"max-length", "--length"},
    {"mps", "--device cpu or cuda: there is nothing for Apple's GPUs"},
    {"nhead", "recurrent networks only: no transformer"},
    {"no-cuda", "--device cpu"},
    {"nonmono", "--lr-schedule plateau, and --patience to end"},
    {"num-epochs", "--epochs"},
    {"num-layers", "--nlayers"},
    {"onnx-export", "model.safetensors has PyTorch's names, so PyTorch can export it"},
    {"opencl", "--device cpu or cuda: there is nothing for OpenCL"},
    {"outf", "the text goes to stdout: > FILE"},
    {"primetext", "--prompt"},
    {"print-every", "--log-interval"},
    {"rnn-size", "--nhid"},
    {"savefile", "--save"},
    {"seq-len", "--bptt"},
    {"seq-length", "--bptt"},
    {"start-text", "--prompt"},
    {"theta", kNoPointer},
    {"train-frac", "--valid-fraction and --test-fraction; the rest is trained on"},
    {"use-optimizer", "--optimizer"},
    {"val-frac", "--valid-fraction"},
    {"wdecay", "--weight-decay"},
    {"wdrop", kOneRate},
    {"when", "--lr-schedule decay, plateau or cosine lowers the rate"},
    {"window", kNoPointer},
    {"words", "--length"},
    {"wordvec-size", "--emsize"},
};
static_assert(std::ranges::is_sorted(kPeerFlags, {}, [](const PeerFlag& flag) {
  return std::string_view(flag.name);
}));

}  // namespace

std::span<const PeerFlag> peer_flags() {
  return kPeerFlags;
}

std::optional<std::string> peer_flag_hint(std::string_view flag) {
  std::string name(flag.substr(std::min(flag.find_first_not_of('-'), flag.size())));
  std::ranges::replace(name, '_', '-');
  const auto* const found = std::ranges::find(kPeerFlags, name, &PeerFlag::name);
  if (found == std::end(kPeerFlags)) return std::nullopt;
  return found->here;
}

}  // namespace unroll::cli
