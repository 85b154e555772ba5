#include "cuda/cudnn/recurrent_cudnn.h"

#include <algorithm>
#include <string>
#include <utility>

#include "cuda/cudnn/cudnn_kernels.h"
#include "cuda/cudnn/cudnn_weights.h"
#include "cuda/device/memory_layout.h"
#include "cuda/recurrent/recurrent_weights.h"

namespace unroll::gpu {
namespace {

using cudnn::functions;

/// The buffers of one stack that backward() reads: byte offsets in the reserve (in inference in the
/// scratch memory). All in cuDNN's type.
struct KeptBuffers {
  bool copies_x;            // false: x, or the y of the layer below, is read in place
  std::size_t x = 0;        // [T, N, I]
  std::size_t y = 0;        // [T, N, D R]
  std::size_t h0 = 0;       // [L D, N, R]
  std::size_t c0 = 0;       // [L D, N, H]: LSTM
  std::size_t reserve = 0;  // cuDNN's own
};

/// The buffers that all stacks use in turn: byte offsets in the scratch memory.
struct SharedBuffers {
  std::size_t work = 0;            // cuDNN's own
  std::size_t h_n = 0, c_n = 0;    // forward: as h0 and c0, like the following
  std::size_t dh_n = 0, dc_n = 0;  // backward
  std::size_t dh0 = 0, dc0 = 0;    //
  std::size_t gradients[2] = {};   // of y and x in turn: a stack's dx is the dy of the next
  std::size_t dy = 0;              // of the last stack: one of `gradients`, or a buffer of its own
  std::size_t weight_gradients = 0;  // a weight space
};

class CudnnPlan final : public RecurrentPlan {
 public:
  CudnnPlan(CudnnPlanner& planner, Device& device, const CudnnContext& context,
            const RecurrentArgs& args)
      : planner_(planner),
        device_(device),
        context_(context),
        args_(args),
        stacks_(cudnn_stacks(context, args)) {
    lay_out();
  }

  std::string algorithm() const override {
    CudnnForm form = context_.form;
    form.packed = std::any_of(stacks_.begin(), stacks_.end(),
                              [](const CudnnStack& stack) { return stack.packed(); });
    return to_string(form);
  }
  std::size_t reserve_bytes() const override { return args_.training ? kept_bytes_ : 0; }
  std::size_t scratch_bytes() const override {
    return args_.training ? shared_bytes_ : kept_bytes_ + shared_bytes_;
  }

  void prepare(std::span<const RecurrentWeights> weights) override {
    if (!weights_) weights_ = planner_.weights(stacks_, weights);
    weights_->update(stacks_, weights);
    is_next_forward_whole_ = is_next_backward_whole_ = true;
  }

  void forward(const RecurrentForward& args) override {
    converts_ = std::exchange(is_next_forward_whole_, !context_.form.bare);
    auto* const scratch = args.scratch.as<std::byte>();
    const Memory memory = args_.training ? Memory{args.reserve.as<std::byte>(), scratch}
                                         : Memory{scratch, scratch + kept_bytes_};
    for (std::size_t k = 0; k < stacks_.size(); ++k) forward(args, memory, k);
    is_spent_ = false;
  }

  void backward(const RecurrentBackward& args) override {
    if (is_spent_)
      throw Unsupported("RNN algorithm " + context_.name +
                        ": got a second backward pass after one forward pass, expected one: cuDNN "
                        "overwrites the data that the first one reads; use the algorithm stepwise");
    is_spent_ = true;
    converts_ = std::exchange(is_next_backward_whole_, !context_.form.bare);
    const Memory memory{args.reserve.as<std::byte>(), args.scratch.as<std::byte>()};
    for (std::size_t k = stacks_.size(); k-- > 0;) backward(args, memory, k);
  }

 private:
  struct Memory {
    std::byte *kept, *shared;
  };

  cudaStream_t stream() const { return device_.stream(); }
  std::size_t element() const { return size_of(context_.element); }
  bool is_float32() const { return context_.element == CudnnElement::kFloat32; }
  bool has_c() const { return args_.spec.has_c(); }
  std::int64_t rows() const { return args_.steps * args_.batch; }

  // ---- memory

  void lay_out() {
    MemoryLayout kept;
    std::int64_t widest = 0, most_h = 0, most_c = 0;
    std::size_t work = 0, weights = 0;
    for (std::size_t k = 0; k < stacks_.size(); ++k) {
      const CudnnStack& stack = stacks_[k];
      KeptBuffers b{.copies_x = k == 0 ? !is_float32() : args_.spec.dropout > 0};
      const std::int64_t states = std::int64_t(stack.cells()) * args_.batch,
                         h = states * stack.width(), c = states * stack.hidden();
      if (b.copies_x) b.x = kept.take(rows() * stack.input(), element());
      b.y = kept.take(rows() * stack.output(), element());
      if (!shares_states(stack)) {
        b.h0 = kept.take(h, element());
        if (has_c()) b.c0 = kept.take(c, element());
      }
      b.reserve = kept.take(std::int64_t(stack.reserve_bytes()), 1);
      buffers_.push_back(b);
      widest = std::max({widest, stack.input(), stack.output()});
      most_h = std::max(most_h, h);
      most_c = std::max(most_c, c);
      work = std::max(work, stack.work_bytes());
      weights = std::max(weights, stack.weight_bytes());
    }
    kept_bytes_ = kept.bytes();
    MemoryLayout shared;
    shared_.work = shared.take(std::int64_t(work), 1);
    shared_.h_n = shared.take(most_h, element());
    if (has_c()) shared_.c_n = shared.take(most_c, element());
    if (args_.training) {
      // The backward pass reuses buffers that the forward pass no longer needs.
      shared_.dh_n = shared_.h_n;
      shared_.dc_n = shared_.c_n;
      shared_.dh0 = shared.take(most_h, element());
      if (has_c()) shared_.dc0 = shared.take(most_c, element());
      for (std::size_t& flow : shared_.gradients) flow = shared.take(rows() * widest, element());
      shared_.dy = shared_.gradients[(stacks_.size() - 1) % 2];
      // With several stacks a dx would be the next pass's dy, and the values would overflow.
      if (context_.form.bare && stacks_.size() > 1)
        shared_.dy = shared.take(rows() * widest, element());
      shared_.weight_gradients = shared.take(std::int64_t(weights), 1);
    }
    shared_bytes_ = shared.bytes();
  }

  const void* x_of(const View& x, const Memory& memory, std::size_t k) const {
    if (buffers_[k].copies_x) return memory.kept + buffers_[k].x;
    return k == 0 ? x.data : memory.kept + buffers_[k - 1].y;
  }

  void from_float32(std::span<const Piece> pieces) const {
    if (converts_) gpu::from_float32(stream(), context_.element, pieces);
  }
  void to_float32(std::span<const Piece> pieces) const {
    if (converts_) gpu::to_float32(stream(), context_.element, pieces);
  }

  // ---- states: [D, N, R] or [D, N, H] float32 per layer at the seam, one tensor per stack for
  // cuDNN

  /// Whether cuDNN uses the states of the seam directly.
  bool shares_states(const CudnnStack& stack) const { return is_float32() && stack.count() == 1; }

  /// The states h or c of a stack.
  struct States {
    std::span<const View> layers;  // none if the cell has no such state
    std::int64_t each;             // elements of a layer's state
    bool shared;
  };
  States h_of(const CudnnStack& stack, std::span<const View> all) const {
    return states_of(stack, all, stack.width());
  }
  States c_of(const CudnnStack& stack, std::span<const View> all) const {
    return states_of(stack, all, stack.hidden());
  }
  States states_of(const CudnnStack& stack, std::span<const View> all, std::int64_t size) const {
    if (!all.empty()) all = all.subspan(std::size_t(stack.first()), std::size_t(stack.count()));
    return {all, args_.spec.directions * args_.batch * size, shares_states(stack)};
  }

  /// Where cuDNN finds the states. Null if there are none: cuDNN then reads zeros or writes
  /// nothing.
  static void* place(const States& states, std::byte* buffer) {
    const bool some =
        std::any_of(states.layers.begin(), states.layers.end(), [](const View& v) { return !!v; });
    if (!some) return nullptr;
    return states.shared ? states.layers.front().data : buffer;
  }

  void* gather(const States& states, std::byte* buffer) const {
    void* const at = place(states, buffer);
    if (at != buffer) return at;
    std::vector<Piece> pieces;
    for (const View& state : states.layers) {
      pieces.push_back({state ? state.data : nullptr, buffer, states.each});
      buffer += std::size_t(states.each) * element();
    }
    from_float32(pieces);
    return at;
  }

  void scatter(const States& states, const std::byte* buffer) const {
    if (states.shared) return;
    std::vector<Piece> pieces;
    for (const View& state : states.layers) {
      if (state) pieces.push_back({buffer, state.data, states.each});
      buffer += std::size_t(states.each) * element();
    }
    to_float32(pieces);
  }

  // ---- passes

  void drop(const CudnnStack& below, const View& step, const void* in, void* out) const {
    dropout(stream(), {.in = in,
                       .out = out,
                       .elements = rows() * below.output(),
                       .element = context_.element,
                       .rate = args_.spec.dropout,
                       .key = args_.dropout_key + std::uint64_t(below.first()),
                       .step = step.as<std::int64_t>()});
  }

  void forward(const RecurrentForward& args, const Memory& memory, std::size_t k) const {
    const CudnnStack& stack = stacks_[k];
    const KeptBuffers& b = buffers_[k];
    const bool is_last = k + 1 == stacks_.size();
    if (b.copies_x && k == 0) {
      const Piece x{args.x.data, memory.kept + b.x, rows() * stack.input()};
      from_float32({&x, 1});
    } else if (b.copies_x) {
      drop(stacks_[k - 1], args.step, memory.kept + buffers_[k - 1].y, memory.kept + b.x);
    }
    // In inference y is not read again.
    const bool writes_y = is_last && args.y && is_float32() && !args_.training;
    void* const y = writes_y ? args.y.data : memory.kept + b.y;
    const States h_n = h_of(stack, args.h_n), c_n = c_of(stack, args.c_n);
    std::byte *const h = memory.shared + shared_.h_n, *const c = memory.shared + shared_.c_n;
    UNROLL_CUDNN_CHECK(functions().rnn_forward(
        context_.handle.get(), stack.rnn(),
        args_.training ? cudnn::ForwardMode::kTraining : cudnn::ForwardMode::kInference, nullptr,
        stack.x(), x_of(args.x, memory, k), stack.y(), y, stack.h(),
        gather(h_of(stack, args.h0), memory.kept + b.h0), place(h_n, h), stack.c(),
        gather(c_of(stack, args.c0), memory.kept + b.c0), place(c_n, c), stack.weight_bytes(),
        weights_->space(k), stack.work_bytes(), memory.shared + shared_.work, stack.reserve_bytes(),
        reserve(memory, k)));
    scatter(h_n, h);
    scatter(c_n, c);
    if (is_last && args.y && !writes_y) {
      const Piece out{y, args.y.data, rows() * stack.output()};
      to_float32({&out, 1});
    }
  }

  void* reserve(const Memory& memory, std::size_t k) const {
    return stacks_[k].reserve_bytes() > 0 ? memory.kept + buffers_[k].reserve : nullptr;
  }

  /// Gradient of the stack's y: the given one, or the dx of the stack above.
  const void* gradient_of_y(const RecurrentBackward& args, const Memory& memory,
                            std::size_t k) const {
    const std::int64_t elements = rows() * stacks_[k].output();
    if (k + 1 < stacks_.size()) {
      std::byte* const buffer = memory.shared + shared_.gradients[k % 2];
      if (args_.spec.dropout > 0) drop(stacks_[k], args.step, buffer, buffer);
      return buffer;
    }
    if (args.dy && is_float32()) return args.dy.data;
    std::byte* const buffer = memory.shared + shared_.dy;
    const Piece dy{args.dy ? args.dy.data : nullptr, buffer, elements};
    from_float32({&dy, 1});
    return buffer;
  }

  void backward(const RecurrentBackward& args, const Memory& memory, std::size_t k) const {
    const CudnnStack& stack = stacks_[k];
    const void* const x = x_of(args.x, memory, k);
    const void* const h0 = place(h_of(stack, args.h0), memory.kept + buffers_[k].h0);
    const void* const y = memory.kept + buffers_[k].y;
    data_gradients(args, memory, k, h0);
    const auto dweights = args.dweights.subspan(
        std::size_t(stack.first()) * std::size_t(args_.spec.directions), stack.cells());
    const auto& parts = stack.weight_parts();
    const bool wanted =
        std::any_of(parts.begin(), parts.end(), [&](const CudnnStack::WeightPart& part) {
          return !!(dweights[part.cell].*part.parameter);
        });
    if (!wanted) return;
    std::byte* const space = memory.shared + shared_.weight_gradients;
    UNROLL_CUDA_CHECK(cudaMemsetAsync(space, 0, stack.weight_bytes(), stream()));
    UNROLL_CUDNN_CHECK(functions().rnn_backward_weights(
        context_.handle.get(), stack.rnn(), cudnn::GradientMode::kAdd, nullptr, stack.x(), x,
        stack.h(), h0, stack.y(), y, stack.weight_bytes(), space, stack.work_bytes(),
        memory.shared + shared_.work, stack.reserve_bytes(), reserve(memory, k)));
    to_float32(gradient_pieces(stack, space, dweights));
  }

  void data_gradients(const RecurrentBackward& args, const Memory& memory, std::size_t k,
                      const void* h0) const {
    const CudnnStack& stack = stacks_[k];
    const void* const dy = gradient_of_y(args, memory, k);
    const bool writes_dx = k == 0 && args.dx && is_float32();
    void* const dx = writes_dx ? args.dx.data : memory.shared + shared_.gradients[(k + 1) % 2];
    const States dh0 = h_of(stack, args.dh0), dc0 = c_of(stack, args.dc0);
    std::byte *const dh = memory.shared + shared_.dh0, *const dc = memory.shared + shared_.dc0;
    UNROLL_CUDNN_CHECK(functions().rnn_backward_data(
        context_.handle.get(), stack.rnn(), nullptr, stack.y(), memory.kept + buffers_[k].y, dy,
        stack.x(), dx, stack.h(), h0, gather(h_of(stack, args.dh_n), memory.shared + shared_.dh_n),
        place(dh0, dh), stack.c(), place(c_of(stack, args.c0), memory.kept + buffers_[k].c0),
        gather(c_of(stack, args.dc_n), memory.shared + shared_.dc_n), place(dc0, dc),
        stack.weight_bytes(), weights_->space(k), stack.work_bytes(), memory.shared + shared_.work,
        stack.reserve_bytes(), reserve(memory, k)));
    scatter(dh0, dh);
    scatter(dc0, dc);
    if (k > 0 || !args.dx || writes_dx) return;
    const Piece out{dx, args.dx.data, rows() * stack.input()};
    to_float32({&out, 1});
  }

  CudnnPlanner& planner_;
  Device& device_;
  const CudnnContext& context_;
  RecurrentArgs args_;
  std::vector<CudnnStack> stacks_;
  std::vector<KeptBuffers> buffers_;
  SharedBuffers shared_;
  std::size_t kept_bytes_ = 0, shared_bytes_ = 0;
  std::shared_ptr<CudnnWeights> weights_;
  bool is_spent_ = true;  // there is no forward pass to go back through
  bool is_next_forward_whole_ = true, is_next_backward_whole_ = true;
  bool converts_ = true;  // during this pass
};

}  // namespace

CudnnPlanner::CudnnPlanner(Device& device, const CudnnForm& form)
    : device_(device), context_(device, form) {}

std::unique_ptr<RecurrentPlan> CudnnPlanner::plan(const RecurrentArgs& args) {
  if (args.has_lengths)
    throw Unsupported("RNN algorithm " + context_.name +
                      ": got lengths, expected sequences of all steps: cuDNN wants lengths on the "
                      "host; use the algorithm stepwise");
  return std::make_unique<CudnnPlan>(*this, device_, context_, args);
}

std::shared_ptr<CudnnWeights> CudnnPlanner::weights(std::span<const CudnnStack> stacks,
                                                    std::span<const RecurrentWeights> weights) {
  std::vector<std::size_t> offsets;
  for (const CudnnStack& stack : stacks) {
    offsets.push_back(stack.weight_bytes());
    for (const CudnnStack::WeightPart& part : stack.weight_parts()) offsets.push_back(part.offset);
  }
  return shared_copies(weights_, std::move(offsets), weights, [&](bool of_variables) {
    return std::make_shared<CudnnWeights>(device_, context_.element, stacks, of_variables);
  });
}

}  // namespace unroll::gpu
