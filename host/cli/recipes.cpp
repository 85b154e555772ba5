#include "host/cli/recipes.h"

#include <algorithm>
#include <cmath>
#include <exception>
#include <filesystem>

#include "host/cli/values.h"
#include "host/data/text_files.h"

namespace unroll::cli {
namespace {

/// Zaremba, Sutskever & Vinyals 2014, non-regularised: four epochs at rate 1, halved for each
/// after; the gradient summed over time and averaged over the minibatch.
TrainSettings zaremba_small() {
  TrainSettings s;
  s.nhid = {200};
  s.dropout = 0;
  s.batch_size = 20;
  s.bptt = 20;
  s.epochs = 13;
  s.optimizer = "sgd";
  s.lr = 1;
  s.clip = 5;
  s.lr_schedule = "decay";
  s.lr_decay = 2;
  s.lr_decay_after = 4;
  s.reduction = "time";
  s.init_range = 0.1;
  return s;
}

/// The regularised models of the same paper. Their dropout, sizes and schedules differ.
TrainSettings zaremba_medium() {
  TrainSettings s = zaremba_small();
  s.emsize = 650;
  s.nhid = {650};
  s.dropout = 0.5;
  s.bptt = 35;
  s.epochs = 39;
  s.lr_decay = 1.2;
  s.lr_decay_after = 6;
  s.init_range = 0.05;
  return s;
}

TrainSettings zaremba_large() {
  TrainSettings s = zaremba_medium();
  s.emsize = 1500;
  s.nhid = {1500};
  s.dropout = 0.65;
  s.clip = 10;
  s.epochs = 55;
  s.lr_decay = 1.15;
  s.lr_decay_after = 14;
  s.init_range = 0.04;
  return s;
}

/// The defaults of karpathy/char-rnn's train.lua: one-hot characters, RMSProp, the rate times 0.97
/// for each epoch after the tenth, gradients summed over time and clipped element by element. (It
/// has no <unk>, hence 641 parameters less.)
TrainSettings char_rnn() {
  TrainSettings s;
  s.tokenizer = "char";
  s.split = "streams";
  s.valid_fraction = 0.05;
  s.emsize = 0;
  s.nhid = {128};
  s.dropout = 0;
  s.batch_size = 50;
  s.bptt = 50;
  s.epochs = 50;
  s.optimizer = "rmsprop";
  s.rms_decay = 0.95;
  s.lr = 0.002;
  s.lr_schedule = "decay";
  s.lr_decay = 1 / 0.97;
  s.lr_decay_after = 10;
  s.clip = 0;
  s.clip_value = 5;
  s.reduction = "time";
  s.init_range = 0.08;
  s.forget_bias = 1;
  return s;
}

bool is_of_characters(const std::string& tokenizer) {
  return tokenizer == "char" || tokenizer == "byte";
}

/// So many that all of them together read `bytes`, but at most `most`. There is enough of the
/// grammar's text for one.
std::int64_t epochs_that_read(double bytes, const TextKind& text, double most) {
  if (text.epochs) return *text.epochs;
  if (text.bytes == 0) return 1;
  return std::llround(std::clamp(bytes / double(text.bytes), 1., most));
}

/// Settings that docs/results.md ("Defaults") measures: a rate that falls to zero with the last
/// step, whatever the number of epochs, and streams that begin anew now and then.
TrainSettings falling_rate() {
  TrainSettings s;
  s.lr_schedule = "cosine";
  s.zero_state = 0.01;
  return s;
}

/// The model of PyTorch's word_language_model. Its SGD learns little in the first thousands of
/// steps, where Adam is ahead, and more than Adam after them. It wants to be unrolled over fewer
/// steps: an epoch then has more updates, which count for more than the gradient from further back.
/// A text that is read more often is learnt by heart sooner.
TrainSettings words(const TextKind& text) {
  TrainSettings s = falling_rate();
  s.epochs = epochs_that_read(60e6, text, 40);
  s.dropout = s.epochs <= 2 ? 0 : s.epochs <= 4 ? 0.1 : s.epochs <= 9 ? 0.2 : 0.3;
  constexpr double kEnoughForSgd = 13e6;  // bytes that all epochs read
  if (double(s.epochs) * double(text.bytes) < kEnoughForSgd) {
    s.lr = 0.004;
    return s;
  }
  s.optimizer = "sgd";
  s.bptt = 20;
  s.init_range = 0.1;
  return s;
}

/// The streams of char-rnn, unrolled over half as many steps: an epoch has twice the updates. One
/// wide layer learns more in the same time than its two of 128 units.
TrainSettings characters(const TextKind& text) {
  TrainSettings s = falling_rate();
  s.epochs = epochs_that_read(20e6, text, 50);
  s.emsize = 0;
  s.nlayers = 1;
  s.nhid = {256};
  s.dropout = 0;
  s.batch_size = 50;
  s.bptt = 25;
  s.lr = 0.006;
  s.clip = 1;
  return s;
}

/// A sentence of the grammar has all that its next word depends on, and there is more text than a
/// small model can learn by heart.
TrainSettings grammar(const TextKind& text) {
  TrainSettings s = falling_rate();
  s.epochs = epochs_that_read(0, text, 1);
  s.emsize = 64;
  s.nlayers = 1;
  s.nhid = {128};
  s.dropout = 0;
  s.batch_size = 64;
  s.lr = 0.006;
  s.clip = 1;
  return s;
}

}  // namespace

TrainSettings recipe(const std::string& name) {
  return choose<TrainSettings (*)()>("--recipe", name,
                                     {{"zaremba-small", zaremba_small},
                                      {"zaremba-medium", zaremba_medium},
                                      {"zaremba-large", zaremba_large},
                                      {"char-rnn", char_rnn}})();
}

std::optional<PublishedFigures> published_figures(const std::string& recipe) {
  // Zaremba, Sutskever & Vinyals 2014, table 1.
  const auto ptb = [](double valid, double test) {
    return PublishedFigures{"Penn Treebank", 73'760, 82'430, valid, test};
  };
  if (recipe == "zaremba-small") return ptb(120.7, 114.5);
  if (recipe == "zaremba-medium") return ptb(86.2, 82.7);
  if (recipe == "zaremba-large") return ptb(82.2, 78.4);
  return std::nullopt;
}

TextKind TextKind::of(const std::string& data, const std::string& tokenizer) {
  TextKind text{.tokenizer = tokenizer, .epochs = {}};
  if (data.empty()) return text;
  try {
    text.bytes = std::int64_t(std::filesystem::file_size(find_texts(data).front()));
  } catch (const std::exception&) {
    text.bytes = usual_bytes(tokenizer);
  }
  return text;
}

std::int64_t TextKind::usual_bytes(const std::string& tokenizer) {
  return is_of_characters(tokenizer) ? kPlaysBytes : kPtbBytes;
}

TrainSettings defaults_for(const TextKind& text) {
  TrainSettings s = is_of_characters(text.tokenizer) ? characters(text)
                    : text.bytes == 0                ? grammar(text)
                                                     : words(text);
  s.tokenizer = text.tokenizer;
  return s;
}

TrainSettings classifier_defaults() {
  TrainSettings s;
  s.task = SequenceClassifier::kName;
  s.nlayers = 1;
  s.directions = 2;
  s.pooling = "mean";
  s.batch_size = 32;
  s.epochs = 10;
  s.clip = 1;
  return s;
}

TrainSettings tagger_defaults() {
  TrainSettings s;
  s.task = SequenceTagger::kName;
  s.emsize = 100;
  s.nlayers = 1;
  s.nhid = {128};
  s.directions = 2;
  s.dropout = 0.5;
  s.batch_size = 16;
  s.unknown_rate = 0.5;
  s.epochs = 12;
  s.clip = 5;
  return s;
}

TrainSettings series_defaults() {
  TrainSettings s;
  s.task = SeriesTask::kName;
  s.valid_fraction = 0.15;
  s.test_fraction = 0.15;
  s.model = "gru";
  s.nlayers = 1;
  s.nhid = {32};
  s.dropout = 0;
  s.optimizer = "adamw";
  s.weight_decay = 0.3;
  s.lr_schedule = "constant";
  s.batch_size = 32;
  s.bptt = 20;
  s.epochs = 100;
  s.clip = 1;
  return s;
}

}  // namespace unroll::cli
