#include "host/infer/continuous_batch.h"

#include <algorithm>
#include <exception>
#include <iterator>
#include <utility>

namespace unroll {
namespace {

/// A size has this many times the rows of the one before.
constexpr std::int64_t kGrowth = 4;
/// Steps in which fewer rows would have done, before there are fewer: states are not moved to and
/// fro where texts come and go.
constexpr int kStepsTooLarge = 16;

}  // namespace

ContinuousBatch::ContinuousBatch(const LoadedModel& model, std::int64_t rows) {
  for (std::int64_t size = 1;; size *= kGrowth) {
    sizes_.push_back(std::make_unique<TokenStates>(
        model, TokenStates::Options{.rows = std::min(size, rows), .name = "batch"}));
    if (size >= rows) break;
  }
  rows_.resize(std::size_t(states().rows()));
  blank_ = states().blank();
}

void ContinuousBatch::add(std::shared_ptr<BatchText> text) {
  fresh_.push_back({std::move(text), tokenizer().start()});
}

std::int64_t ContinuousBatch::reading() const {
  return std::ranges::count_if(rows_, [](const auto& entry) { return entry.has_value(); });
}

/// Takes out texts that leave or wait.
void ContinuousBatch::free_rows() {
  const auto leaves = [](const Entry& entry) {
    return entry.text->state() == BatchText::State::kLeaves;
  };
  std::erase_if(fresh_, leaves);
  std::erase_if(others_, leaves);
  for (std::size_t row = 0; row < rows_.size(); ++row)
    if (rows_[row] && leaves(*rows_[row]))
      rows_[row].reset();
    else if (rows_[row] && !rows_[row]->reads())
      lift_to_queue(row);
}

/// Takes out texts that have read much, as far as others want to read and have no room: at once for
/// one that has read little, and after its turn for another.
void ContinuousBatch::give_way() {
  std::int64_t fresh = std::ranges::count_if(fresh_, &Entry::reads);
  std::int64_t others = std::ranges::count_if(others_, &Entry::reads);
  const std::int64_t room = sizes_.back()->rows() - reading();
  others -= std::min(others, std::max<std::int64_t>(0, room - fresh));
  fresh -= std::min(fresh, room);
  for (std::size_t row = 0; row < rows_.size() && fresh + others > 0; ++row) {
    if (!rows_[row] || rows_[row]->read < kTurn) continue;
    const bool turn_is_over = rows_[row]->turn >= kTurn;
    if (fresh == 0 && !turn_is_over) continue;
    --(fresh > 0 ? fresh : others);
    lift_to_queue(row);
  }
}

/// The fewest rows that are enough.
void ContinuousBatch::choose_size() {
  const std::int64_t texts = reading() + std::ranges::count_if(fresh_, &Entry::reads) +
                             std::ranges::count_if(others_, &Entry::reads);
  std::size_t wanted = 0;
  while (wanted + 1 < sizes_.size() && sizes_[wanted]->rows() < texts) ++wanted;
  steps_too_large_ = wanted < size_ ? steps_too_large_ + 1 : 0;
  if (wanted == size_ || (wanted < size_ && steps_too_large_ < kStepsTooLarge)) return;
  std::vector<Entry> moved;
  for (std::size_t row = 0; row < rows_.size(); ++row)
    if (rows_[row]) moved.push_back(lift(row));
  size_ = wanted;
  steps_too_large_ = 0;
  rows_ = std::vector<std::optional<Entry>>(std::size_t(states().rows()));
  for (std::size_t row = 0; row < moved.size(); ++row) place(row, std::move(moved[row]));
}

void ContinuousBatch::fill_rows(std::deque<Entry>& queue) {
  auto next = queue.begin();
  for (std::size_t row = 0; row < rows_.size(); ++row) {
    if (rows_[row]) continue;
    next = std::find_if(next, queue.end(), [](const Entry& entry) { return entry.reads(); });
    if (next == queue.end()) return;
    next->turn = 0;
    place(row, std::move(*next));
    next = queue.erase(next);
  }
}

void ContinuousBatch::place(std::size_t row, Entry entry) {
  states().put(std::int64_t(row), entry.state ? *entry.state : blank_);
  entry.state.reset();
  rows_[row] = std::move(entry);
}

ContinuousBatch::Entry ContinuousBatch::lift(std::size_t row) {
  Entry entry = std::move(*rows_[row]);
  rows_[row].reset();
  entry.state = states().take(std::int64_t(row));
  return entry;
}

void ContinuousBatch::lift_to_queue(std::size_t row) {
  Entry entry = lift(row);
  std::deque<Entry>& queue = queue_of(entry);
  queue.push_back(std::move(entry));
}

bool ContinuousBatch::step() {
  free_rows();
  give_way();
  choose_size();
  fill_rows(fresh_);
  fill_rows(others_);
  std::vector<std::int32_t> tokens(rows_.size(), TokenStates::kNoToken);
  bool reads = false, asks = false;
  for (std::size_t row = 0; row < rows_.size(); ++row) {
    if (!rows_[row]) continue;
    tokens[row] = rows_[row]->token;
    rows_[row]->asks = rows_[row]->text->asks();
    reads = true;
    asks = asks || rows_[row]->asks;
  }
  if (!reads) return false;
  std::string failure;
  try {
    states().advance(tokens, asks);
  } catch (const std::exception& error) {
    failure = error.what();
  }
  for (std::size_t row = 0; row < rows_.size(); ++row) {
    if (!rows_[row]) continue;
    // It may hold the last pointer to itself that way.
    const std::shared_ptr<BatchText> text = rows_[row]->text;
    std::string why = failure;
    if (why.empty()) try {
        use(row,
            rows_[row]->asks ? states().log_prob(std::int64_t(row)) : std::span<const float>());
      } catch (const std::exception& error) {
        why = error.what();
      }
    if (why.empty()) continue;
    rows_[row].reset();
    text->fail(why);
  }
  return true;
}

/// Does what the text of a row says after the step.
void ContinuousBatch::use(std::size_t row, std::span<const float> log_prob) {
  Entry& entry = *rows_[row];
  const TextStep step = entry.text->next(log_prob);
  ++entry.read;
  ++entry.turn;
  switch (step.kind) {
    case TextStep::Kind::kReads:
      entry.token = step.token;
      return;
    case TextStep::Kind::kBegins:
      states().put(std::int64_t(row), blank_);
      entry.token = tokenizer().start();
      return;
    case TextStep::Kind::kEnds:
      rows_[row].reset();
      return;
  }
}

}  // namespace unroll
