/// The list of a training run's settings, each with its flag, group, help, and whether a resumed
/// run may change it. Parsing, help, config.json and resuming visit it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

#include "host/cli/train_settings.h"

namespace unroll::cli {

inline constexpr double kNoLimit = std::numeric_limits<double>::max();
inline constexpr std::int64_t kLargest = 1 << 30;  // of a count
inline constexpr double kTestFraction = 0.05;      // of a single file, unless it is given

struct Setting {
  const char* flag;
  const char* group;
  const char* help;
  bool may_change = false;    // a resumed run may have another value
  const char* tasks[3] = {};  // the only ones that have it; none: every task has it

  bool is_of(std::string_view name) const {
    return !tasks[0] ||
           std::ranges::any_of(tasks, [&](const char* task) { return task && task == name; });
  }
};

/// Calls visit(setting, member) for each.
template <typename Visit>
void for_each_setting(Visit&& visit) {
  using S = TrainSettings;
  constexpr const char *kLanguageModel = LanguageModelTask::kName,
                       *kClassify = SequenceClassifier::kName, *kSeries = SeriesTask::kName,
                       *kTag = SequenceTagger::kName;
  constexpr const char *kText = "Text", *kModel = "Model", *kTraining = "Training", *kRun = "Run";
  visit(Setting{"--task", kText,
                "What is learned: language_model (the next token), classify (a label for each "
                "text), tag (a tag for each word) or series (the next values of a time series); "
                "--task X --help shows its flags"},
        &S::task);
  visit(Setting{"--target", kText, "Column whose values are forecast", false, kSeries}, &S::target);
  visit(Setting{"--inputs", kText,
                "Columns that a forecast reads, with commas between; the target is always one "
                "[only the target]",
                false, kSeries},
        &S::inputs);
  visit(Setting{"--tokenizer", kText,
                "What a token is: word, char, byte, bpe:SIZE (byte pairs learnt from the training "
                "text) or "
                "the name of a tokenizer.json",
                false, kLanguageModel, kClassify},
        &S::tokenizer);
  visit(
      Setting{"--split", kText,
              "Of a single file: fraction (train, then valid, then test) or streams (valid is the "
              "last part of each of the batch's streams, as in char-rnn)",
              false, kLanguageModel},
      &S::split);
  visit(Setting{"--valid-fraction", kText, "Of a single file", false, kLanguageModel, kSeries},
        &S::valid_fraction);
  visit(
      Setting{
          "--test-fraction", kText,
          "Of a single file: its end [0.05 of a text that is split by fraction, 0.15 of a series]",
          false, kLanguageModel, kSeries},
      &S::test_fraction);
  visit(Setting{"--vocab-size", kText, "At most this many tokens; 0: no limit", false,
                kLanguageModel, kClassify},
        &S::vocab_size);
  visit(Setting{"--min-count", kText, "Tokens seen fewer times become <unk>", false, kLanguageModel,
                kClassify},
        &S::min_count);

  visit(Setting{"--tag-column", kText, "Of CoNLL-U: upos or xpos", false, kTag}, &S::tag_column);
  visit(Setting{"--vectors", kText,
                "File of word vectors that embeddings start with: GloVe's text form, or word2vec's "
                "text or binary form; a resumed run may find the same vectors in another place",
                true, kTag},
        &S::vectors);

  visit(Setting{"--model", kModel, "lstm, gru, rnn_tanh, rnn_relu or rnn_logistic"}, &S::model);
  visit(Setting{"--gru-reset", kModel,
                "Reset gate before the recurrent product or after it (as cuDNN)"},
        &S::gru_reset);
  visit(Setting{"--lstm-gates", kModel,
                "Input gate i of an LSTM: separate, coupled (1 - f) or capped (at most 1 - f)"},
        &S::lstm_gates);
  visit(Setting{"--layer-norm", kModel, "LSTM with layer normalisation"}, &S::layer_norm);
  visit(Setting{"--emsize", kModel, "Embedding size; 0: one-hot input; with --vectors, theirs",
                false, kLanguageModel, kClassify, kTag},
        &S::emsize);
  visit(Setting{"--nhid", kModel,
                "Units per layer: one number, or one per layer with commas between"},
        &S::nhid);
  visit(Setting{"--proj", kModel,
                "LSTM: elements to which each layer's output is projected, fewer than its units; "
                "0: no projection"},
        &S::proj);
  visit(Setting{"--nlayers", kModel, "Recurrent layers"}, &S::nlayers);
  visit(Setting{"--dropout", kModel, "Rate on all connections but the recurrent ones", true},
        &S::dropout);
  visit(Setting{"--tied", kModel, "One matrix for embedding and decoder", false, kLanguageModel},
        &S::tied);
  visit(Setting{"--init-range", kModel,
                "All parameters start uniform in +- this; 0: Xavier and orthogonal"},
        &S::init_range);
  visit(
      Setting{"--forget-bias", kModel,
              "LSTM: where the forget gate's bias starts [1, or with --init-range as the others]"},
      &S::forget_bias);

  visit(
      Setting{"--directions", kModel, "1, or 2: a second stack of layers reads the text backwards",
              false, kClassify, kTag},
      &S::directions);
  visit(
      Setting{"--pooling", kModel,
              "State that stands for a text: last, or the mean over its tokens", false, kClassify},
      &S::pooling);
  visit(Setting{"--freeze-vectors", kModel, "Embeddings stay as --vectors has them", false, kTag},
        &S::freeze_vectors);
  visit(Setting{"--char-nhid", kModel,
                "Units per direction that read the characters of a word; 0: none do", false, kTag},
        &S::char_nhid);
  visit(Setting{"--char-emsize", kModel, "Embedding size of a character; 0: one-hot input", false,
                kTag},
        &S::char_emsize);
  visit(Setting{"--crf", kModel,
                "Tags of a sentence together, by a linear-chain conditional random field; without "
                "it, each word's by a softmax",
                false, kTag},
        &S::crf);
  visit(Setting{"--horizon", kModel, "Rows of a forecast", false, kSeries}, &S::horizon);
  visit(
      Setting{"--quantiles", kModel,
              "Quantiles of the next --horizon rows to learn, as 0.1,0.5,0.9; without it, the mean "
              "of the next row",
              false, kSeries},
      &S::quantiles);

  visit(Setting{"--recipe", kTraining,
                "Settings, which further flags override: those that suit the text (auto), or "
                "published ones: zaremba-small, -medium, -large or char-rnn",
                false, kLanguageModel},
        &S::recipe);
  visit(Setting{"--optimizer", kTraining, "sgd, momentum, rmsprop, adam or adamw"}, &S::optimizer);
  visit(Setting{"--lr", kTraining,
                "Learning rate [sgd 20, momentum 2, both divided by --bptt with --reduction time; "
                "others 0.002, but by --recipe auto 0.004 for words and 0.006 for characters; "
                "of a series 0.1, 0.01 and 0.003]",
                true},
        &S::lr);
  visit(Setting{"--lr-schedule", kTraining, "constant, decay, plateau or cosine", true},
        &S::lr_schedule);
  visit(Setting{"--lr-decay", kTraining, "What decay and plateau divide the rate by", true},
        &S::lr_decay);
  visit(Setting{"--lr-decay-after", kTraining, "decay: epochs at the full rate", true},
        &S::lr_decay_after);
  visit(Setting{"--warmup", kTraining, "cosine: steps of linear warm-up", true}, &S::warmup);
  visit(Setting{"--momentum", kTraining, "Of --optimizer momentum"}, &S::momentum);
  visit(Setting{"--rms-decay", kTraining, "Of --optimizer rmsprop"}, &S::rms_decay);
  visit(
      Setting{"--weight-decay", kTraining, "Of adamw decoupled, else added to the gradient", true},
      &S::weight_decay);
  visit(Setting{"--clip", kTraining, "Largest norm of the gradient; 0: no limit", true}, &S::clip);
  visit(Setting{"--clip-value", kTraining, "Largest element of the gradient; 0: no limit", true},
        &S::clip_value);
  visit(Setting{"--reduction", kTraining,
                "Loss averaged over tokens (mean), or summed over time (time)", false,
                kLanguageModel},
        &S::reduction);
  visit(Setting{"--batch-size,--batch_size", kTraining,
                "Parallel streams of text, texts or sentences that are read at once, or windows of "
                "a series"},
        &S::batch_size);
  visit(Setting{"--shards", kTraining,
                "Parts of a batch whose gradients are added up in a fixed order, so that results "
                "do not depend on how many ranks share them; 0: 1 for one rank, else 8, or one for "
                "each rank if there are more"},
        &S::shards);
  visit(Setting{"--unknown-rate", kTraining,
                "How often a word that the training text has once is read as unknown", false, kTag},
        &S::unknown_rate);
  visit(Setting{"--zero-state", kTraining,
                "How often a stream's state becomes zero before a batch, so that short histories "
                "are answered well",
                false, kLanguageModel},
        &S::zero_state);
  visit(Setting{"--bptt", kTraining,
                "Timesteps of a batch; of a series, the rows that a forecast reads", false,
                kLanguageModel, kSeries},
        &S::bptt);
  visit(Setting{"--chunk-rows", kTraining,
                "Rows of logits in memory at a time; 0: as many as suit the device", false,
                kLanguageModel},
        &S::chunk_rows);
  visit(Setting{"--seed", kTraining, "Of every random number"}, &S::seed);
  visit(Setting{"--overfit-one-batch", kTraining,
                "A check: train on the first batch alone, whose loss must fall towards 0"},
        &S::overfit_one_batch);
  visit(Setting{"--eval-interval", kTraining,
                "Steps between validations within an epoch; 0: only at its end"},
        &S::eval_interval);
  visit(
      Setting{
          "--rnn-algorithm", kTraining,
          "auto, stepwise, or on a GPU stepwise:K (layers in blocks of K timesteps), persistent "
          "(one kernel per layer, its recurrent weights in shared memory), two of these as "
          "FORWARD+BACKWARD, or cudnn (cuDNN 9; also cudnn:FORM or cudnn:FORM:packed: standard, "
          "persist_static, persist_dynamic, persist_static_small_h); auto: which of ours is "
          "fastest there in each pass, kept when resuming unless another is given then",
          true},
      &S::rnn_algorithm);

  visit(
      Setting{
          "--epochs", kTraining,
          "Passes over the training data; by default more of a small text, fewer of a large one",
          true},
      &S::epochs);
  visit(Setting{"--patience", kTraining,
                "Stop after so many validations without a better one; 0: never", true},
        &S::patience);
  visit(Setting{"--on-divergence", kTraining,
                "If loss or gradient is not finite, or the loss above --loss-ceiling: stop, skip "
                "the batch, or rollback (to the last checkpoint's weights, at half the rate)",
                true},
        &S::on_divergence);
  visit(Setting{"--loss-ceiling", kTraining,
                "Loss above which a step counts as divergence; 0: none [2 ln V + 3 for V types of "
                "tokens; of a series 10,000, of its quantiles 100]",
                true},
        &S::loss_ceiling);
  visit(Setting{"--verify-every", kTraining,
                "Compute every so many steps twice and compare bits; 0: never", true},
        &S::verify_every);
  visit(Setting{"--save-every", kRun, "Steps between checkpoints within an epoch; 0: none", true},
        &S::save_every);
  visit(Setting{"--keep", kRun, "Checkpoints to keep, beside the best; 0: all", true}, &S::keep);
  visit(Setting{"--log-interval,--log_interval", kRun, "Batches between two lines", true},
        &S::log_interval);
  visit(Setting{"--tensorboard", kRun, "Write events for TensorBoard into the run's folder, too",
                true},
        &S::tensorboard);
}

/// "--batch-size,--batch_size" is "batch_size" in a checkpoint.
inline std::string name_of(const Setting& setting) {
  std::string name(setting.flag + 2);
  name = name.substr(0, name.find(','));
  std::ranges::replace(name, '-', '_');
  return name;
}

inline std::string flag_of(const Setting& setting) {
  const std::string flag(setting.flag);
  return flag.substr(0, flag.find(','));
}

}  // namespace unroll::cli
